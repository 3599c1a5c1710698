"""What is deployed around the server: the unit, the alerts, the dashboard."""
