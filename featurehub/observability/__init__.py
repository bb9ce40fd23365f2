"""Follow requests and tasks: their ids in the log, lines as JSON, traces by OpenTelemetry, the times of tasks."""
