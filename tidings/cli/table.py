"""The table of commands: the file that runs each, and its one-line help. Loads none of them.

A call costs what its own command needs: loading typer, rich, both clients and every other command takes longer than
most calls do. So `tidings --help` is printed from this table, and a command is loaded on demand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tidings import __version__

SLOGAN = "Send data to the API; Tidings sends webhooks and mail, and calls other APIs."
SERVER, CALLS, OTHERS = "The server", "Commands that call a server", "Incoming webhooks and forms"


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or a group of them. `module`, below `tidings.cli`, has a function with its name, or `cli`."""

    name: str
    module: str
    panel: str
    help: str
    group: bool = False


COMMANDS = (
    Command("serve", "local.serve_command", SERVER, "Run the server until SIGTERM or SIGINT (Ctrl-C)."),
    Command("check", "local.check", SERVER, "Check the settings and everything that `tidings.yaml` declares."),
    Command("apply", "remote.apply", SERVER, "Make collections, links, hooks and so on match a file."),
    Command("status", "local.status", SERVER, "Say in one sentence whether something needs attention, and why."),
    Command("tallies", "standing.tallies", SERVER, "Show the results of delivery attempts, by minute or hour."),
    Command("console", "local.console", SERVER, "Print a link that opens the console in a browser, signed in."),
    Command("acts", "standing.acts", SERVER, "List who changed what, newest first."),
    Command("doctor", "local.doctor", SERVER, "Check the machine, the data, the database and the server."),
    Command("backup", "local.backup", SERVER, "Copy the database while the server is running, and check the copy."),
    Command("restore", "local.restore", SERVER, "Replace the database with a backup."),
    Command("move", "local.move", SERVER, "Move the data from SQLite to PostgreSQL."),
    Command("login", "login", CALLS, "Store a server's URL and a key for the commands that call it."),
    Command("logout", "login", CALLS, "Delete a stored key."),
    Command("publish", "remote.publish", CALLS, "Publish an event, or a file of events."),
    Command("listen", "remote.listen", CALLS, "Post each event, or a hook's requests, to a URL on this machine."),
    Command("replay", "remote.replay", CALLS, "Resend a time range of events to an endpoint or link."),
    Command("mcp", "mcp", CALLS, "Let an assistant do what a key permits, through MCP tools."),
    Command("schemes", "webhooks.schemes", OTHERS, "List the senders whose webhooks can be verified, or show one."),
    Command("trigger", "webhooks.trigger", OTHERS, "Create a correctly signed webhook, and send or print it."),
    Command("verify", "webhooks.verify", OTHERS, "Verify a received webhook, or explain why it is not genuine."),
    Command(
        "nodes", "local.process.nodes", SERVER, "List the servers that share a database, or drain one.", group=True
    ),
    Command("hooks", "webhooks.hooks", OTHERS, "Hooks: URLs for other systems' webhooks.", group=True),
    Command("forms", "webhooks.forms", OTHERS, "Forms: pages that people fill in.", group=True),
    Command("receipts", "webhooks.receipts", OTHERS, "Receipts: requests to hooks and forms, as received.", group=True),
    Command(
        "refusals",
        "webhooks.refusals",
        OTHERS,
        "Refusals: the requests that hooks and forms refused, and why.",
        group=True,
    ),
    Command("events", "remote.events", CALLS, "Events: what happened, and where each event was sent.", group=True),
    Command("items", "remote.items", CALLS, "Items of a collection: one by one, or as files.", group=True),
    Command(
        "endpoints", "remote.endpoints", CALLS, "Endpoints: URLs that receive events as signed webhooks.", group=True
    ),
    Command("links", "remote.links", CALLS, "Links: actions triggered by events or timers.", group=True),
    Command("connections", "remote.connections", CALLS, "Connections: how links reach other systems.", group=True),
    Command("deliveries", "remote.deliveries", CALLS, "Deliveries: events on their way to endpoints.", group=True),
    Command("replays", "remote.replays", CALLS, "Replays: jobs that send events of a time range again.", group=True),
    Command("collections", "declared.collections", CALLS, "Collections: the declared kinds of items.", group=True),
    Command("event-types", "declared.event_types", CALLS, "Event types: the catalogue of declared types.", group=True),
    Command("tenants", "declared.tenants", CALLS, "Tenants: the operator's customers.", group=True),
    Command("portal", "declared.portal", CALLS, "Portal links: let customers manage their own endpoints.", group=True),
    Command("keys", "remote.keys", CALLS, "Keys: who may call the API, what they may do, and how often.", group=True),
    Command("svix", "svix.commands", CALLS, "Svix: copy the configuration of a Svix server.", group=True),
    Command("outbox", "outbox", CALLS, "Outbox: events that applications add in their own transactions.", group=True),
)
OTHER_NAMES = {"open": "console"}
"""Aliases of commands."""
BY_NAME = {command.name: command for command in COMMANDS}


def help_lines() -> Iterator[str]:
    """The text of `tidings --help`, in lines of at most 80 columns."""
    yield "Usage: tidings COMMAND [OPTIONS]"
    yield ""
    yield f"  {SLOGAN}"
    for panel in (SERVER, CALLS, OTHERS):
        yield ""
        yield f"{panel}:"
        for command in COMMANDS:
            if command.panel == panel:
                yield f"  {command.name:<11} {command.help}"
    yield ""
    yield "  tidings COMMAND --help explains a command; --version prints the version."
    yield "  tidings --install-completion sets up Tab completion in your shell."
    yield ""
    yield "Commands that call a server take --url (TIDINGS_URL) and --key (TIDINGS_KEY),"
    yield "and --json for scripts."


def version_line() -> str:
    """The text of `tidings --version`."""
    return f"tidings {__version__}"
