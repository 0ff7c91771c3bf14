"""When policies may change a task, by the words of docs/policies.md.

Written from these words and from nothing that it judges: no module of the job is imported here. A file of policies is what YAML
gives, a record what the API calls its fields, with aware times.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

Document = Mapping[str, Any]
STAGES = ("archive", "slim", "delete")
DAY = timedelta(days=1)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": DAY, "w": 7 * DAY}
_NOTICES = {"cleanup:archives": "archive", "cleanup:slims": "slim", "cleanup:deletes": "delete"}


def duration(text: str) -> timedelta:
    """`14d` as time."""
    return int(text[:-1]) * _UNITS[text[-1]]


def fits(text: str, pattern: str) -> bool:
    """Whether a pattern with `*` and `?` is for a text."""
    parts = {"*": ".*", "?": "."}
    return bool(re.fullmatch("".join(parts.get(one, re.escape(one)) for one in pattern), text, re.DOTALL))


def midnight(day: date) -> datetime:
    """Its first moment, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def dates(tags: Iterable[str], name: str) -> list[date]:
    """Those of the tags `name=2026-12-31`."""
    found = []
    for tag in tags:
        if parts := re.fullmatch(rf"{re.escape(name)}=(\d{{4}})-(\d\d)-(\d\d)", tag, re.ASCII):
            year, month, day = (int(part) for part in parts.groups())
            try:
                found.append(date(year, month, day))
            except ValueError:
                continue
    return found


def notice(tags: Iterable[str]) -> tuple[str, date] | None:
    """The stage that is announced, and for when; of several the last one."""
    some = list(tags)
    found = [(day, stage) for name, stage in _NOTICES.items() for day in dates(some, name)]
    return max(found)[::-1] if found else None


def active(record: Document) -> datetime | None:
    """The moment from which its age counts."""
    if record["status"] in {"in_progress", "queued"}:
        return record.get("last_update")
    return record.get("status_changed") or record.get("last_update") or record.get("created")


def is_archived(record: Document) -> bool:
    return "archived" in record["system_tags"]


def is_restored(record: Document) -> bool:
    """Whether someone took it out of the archive."""
    return not is_archived(record) and any(tag.split("=")[0] == "cleanup:archived" for tag in record["tags"])


@dataclass(frozen=True)
class Life:
    """A file of policies, on a server, for a job."""

    file: Document
    projects: Mapping[str, str]
    """Full names by id."""
    me: str
    """The id of the job's user."""
    force: bool = True
    least_days: float = 0
    """The settings' threshold, if it is not at its default."""
    archived_days: float = 0
    """The settings' grace."""

    # -- which
    def policy(self, record: Document) -> Document | None:
        """The first policy that matches it."""
        return next((one for one in self.file["policies"] if self._matches(one.get("match") or {}, record)), None)

    def _matches(self, match: Document, record: Document) -> bool:
        name = self.projects.get(record["project"], "")
        above = ["/".join(name.split("/")[:n]) for n in range(1, name.count("/") + 2)]
        ran = self._ran(record)
        checks = {
            "projects": lambda wanted: any(fits(one, pattern) for one in above for pattern in wanted),
            "statuses": lambda wanted: record["status"] in wanted,
            "users": lambda wanted: record["user"] in wanted,
            "types": lambda wanted: record["type"] in wanted,
            "tags": lambda wanted: any(fits(tag, pattern) for tag in record["tags"] for pattern in wanted),
            "name": lambda wanted: fits(record["name"], wanted),
            "ran_less_than": lambda wanted: ran is not None and timedelta() <= ran < duration(wanted),
        }
        return all(checks[key](wanted) for key, wanted in match.items())

    @staticmethod
    def _ran(record: Document) -> timedelta | None:
        ends = [record[name] for name in ("completed", "status_changed") if record.get(name)]
        if record["status"] in {"in_progress", "queued"} or not record.get("started") or not ends:
            return None
        return max(ends) - record["started"]

    # -- kept
    def is_kept(self, record: Document) -> bool:
        """Whether its policy or its owner keeps it, ranks aside."""
        policy = self.policy(record)
        if policy is None:
            return False
        keep = policy.get("keep") or {}
        by_owner, malformed, _ = self._wish(record)
        if by_owner or malformed or keep == "all":
            return True
        return any(fits(tag, pattern) for tag in record["tags"] for pattern in keep.get("tags", ()))

    def _wish(self, record: Document) -> tuple[bool, bool, list[datetime]]:
        """Whether its owner keeps it, whether that can't be read, and until when it is to live at least."""
        if not self.file.get("task_tags"):
            return False, False, []
        keeps, malformed, until = False, False, []
        since = active(record)
        for tag in record["tags"]:
            name, _, value = tag.partition("=")
            if name.strip().lower() not in {"keep", "ttl", "expires"}:
                continue
            if tag == "keep":
                keeps = True
            elif name == "ttl" and re.fullmatch(r"0*[1-9]\d*[mhdw]", value.strip(), re.ASCII):
                until += [since + duration(value.strip())] if since else []
            elif name == "expires" and dates([tag], "expires"):
                until.append(midnight(dates([tag], "expires")[0]) + DAY)
            else:
                malformed = True
        return keeps, malformed, until

    # -- when
    def wanted(self, record: Document, stage: str) -> datetime | None:
        """The moment after which a stage may come, by its age, its owner and the settings; None: never."""
        policy, since = self.policy(record), active(record)
        if policy is None or since is None or not policy.get(stage):
            return None
        moment = since + duration(policy[stage]["after"])
        if wishes := self._wish(record)[2]:
            until = max(wishes)
            if until > moment and policy.get("max_ttl"):
                moment = min(until, max(moment, since + duration(policy["max_ttl"])))
            elif until > moment or policy.get("allow_shorter"):
                moment = until
        return moment if stage == "archive" else max(moment, since + self.least_days * DAY)

    def grace_ends(self, record: Document) -> datetime | None:
        """From when on it has been in the archive for long enough to be deleted; None: never."""
        policy = self.policy(record) or {}
        grace = max(duration((policy.get("delete") or {}).get("archived_for", "0d")), self.archived_days * DAY)
        marked = dates(record["tags"], "cleanup:archived")
        moment = record.get("last_change")
        if marked and record["last_changed_by"] == self.me:
            moment = midnight(max(marked)) + DAY
        evening = midnight(max(marked)) + DAY if marked else datetime(1970, 1, 1, tzinfo=UTC)
        if not grace:
            return evening
        return max(moment + grace, evening) if moment else None

    def may(self, record: Document, stage: str, now: datetime) -> bool:
        """Whether a stage may come at a moment, ranks, claims and the settings' filters aside."""
        policy, wanted = self.policy(record), self.wanted(record, stage)
        if policy is None or wanted is None or wanted >= now or self.is_kept(record) or is_restored(record):
            return False
        if not self.is_ready(record, stage, policy):
            return False
        grace = self.grace_ends(record)
        if stage == "delete":
            if grace is None or grace > now:
                return False
            wanted = max(wanted, grace)
        return not policy.get("notice") or self._was_announced(record, stage, now, wanted, duration(policy["notice"]))

    def is_ready(self, record: Document, stage: str, policy: Document) -> bool:
        """Whether a task is in a state that a stage can follow on."""
        status, archived = record["status"], is_archived(record)
        if stage == "archive":
            return not archived and status in {"completed", "failed", "stopped", "created"}
        if stage == "delete":
            return archived and (self.force or status == "created")
        slimmed, since = dates(record["tags"], "cleanup:slimmed"), active(record)
        ran_since = not slimmed or (since is not None and since >= midnight(max(slimmed)) + DAY)
        has_ended = status in {"completed", "failed", "stopped", "closed"}
        return self.force and has_ended and ran_since and (archived or policy["slim"].get("also") == "not_archived")

    def _was_announced(self, record: Document, stage: str, now: datetime, wanted: datetime, before: timedelta) -> bool:
        found, changed = notice(record["tags"]), record.get("last_change")
        if found is None or found[0] != stage or changed is None or record["last_changed_by"] != self.me:
            return False
        day = midnight(found[1])
        return changed <= day - before and max(day, wanted) <= now and day >= wanted
