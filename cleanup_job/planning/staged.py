"""Which tasks have to be listed for what policies do beside deleting. Pure: no I/O."""

from dataclasses import replace

from cleanup_job.planning.selection import Query, Rules


def staged_query(rules: Rules) -> Query | None:
    """The listing that has all tasks with which policies may do something; None if there can't be any.

    As every ``Query``, it only narrows: each record is judged by its own fields.
    """
    if rules.lifecycle is None or any(not one.ids for one in rules.only):  # the server reads an empty list as no filter at all
        return None
    query = replace(rules, force_delete=True).query()  # that drafts alone are deleted does not concern the archive
    named = [policy.match.projects for policy in rules.lifecycle.file.policies]
    if any(projects is None for projects in named):
        return query
    wanted = frozenset[str]().union(*(projects for projects in named if projects is not None))
    projects = wanted.intersection(query.projects) if query.projects else wanted
    return replace(query, projects=tuple(sorted(projects))) if projects else None
