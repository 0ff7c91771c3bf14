"""One run of the job: lease, login, pass, report, exit code. Nothing here prints."""
