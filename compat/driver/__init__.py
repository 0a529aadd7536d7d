"""What starts the suites: `tools` (paths, installing, running), `brokers` (who is tested), `suites` (what is run)."""
