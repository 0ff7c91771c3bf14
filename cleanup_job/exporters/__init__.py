"""The only package that sends metrics, to a Pushgateway and by OTLP, and messages, through apprise."""
