"""A document with everything that a form is drawn from: the shapes that collections bring, and hostile texts."""

from __future__ import annotations

from typing import Any

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> `</code><b>`"
STATES = ["open", "it's", '"done"', "$HOME `id` \\"]
JSON = "application/json"


def parameter(name: str, schema: dict[str, Any], where: str = "query", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": schema, "description": EVIL, **more}


def operation(name: str, *parameters: dict[str, Any], body: Any = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": name, "summary": f"{name} {EVIL}", "description": EVIL, "tags": ["tasks"]}
    found |= {"parameters": list(parameters), "responses": {"200": {"description": EVIL}}, **more}
    if body is not None:
        found["requestBody"] = {"required": True, "content": {JSON: body}}
    return found


TASK: dict[str, Any] = {
    "type": "object",
    "required": ["title"],
    "properties": {
        "title": {"type": "string", "description": EVIL},
        "state": {"anyOf": [{"$ref": "#/components/schemas/State"}, {"type": "null"}]},
        "price": {"type": ["number", "null"], "minimum": 0, "maximum": 1000},
        "done": {"type": "boolean"},
        "due": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}},
        "more": {"type": "object"},
        "created": {"type": "string", "readOnly": True},
    },
}
COMPONENTS: dict[str, Any] = {
    "schemas": {"State": {"type": "string", "enum": STATES}, "Task": TASK},
    "parameters": {"Limit": parameter("limit", {"type": "integer", "minimum": 1, "maximum": 9, "default": 5})},
}
LIST = operation(
    "list_tasks",
    parameter("done", {"type": "boolean"}),
    parameter("state", {"$ref": "#/components/schemas/State"}),
    parameter("price__gte", {"type": "number", "minimum": 0}),
    parameter("due", {"type": "string", "format": "date"}),
    parameter("at__lt", {"type": "string", "format": "date-time"}),
    parameter("title", {"type": "string"}),
    parameter("id__in", {"type": "array", "items": {"type": "string"}}, style="form", explode=False),
    parameter("tag", {"type": "array", "items": {"type": "string"}}),
    parameter("fields", {"type": "array", "items": {"enum": ["id", "title"]}}, style="form", explode=False),
    parameter("X-Text", {"type": "string"}, where="header"),
    {"$ref": "#/components/parameters/Limit"},
)
BY_CODE = operation(
    "readings_by_postal_code",
    parameter("postal_code", {"type": "string"}, required=True, example="10115"),
    parameter("day", {"type": "string", "format": "date"}, required=True),
)
LINKS = {
    "again": {"operationId": "edit_task", "parameters": {"id": "$response.body#/new/id"}, "description": "Edit it."},
    "absent": {"operationId": "edit_task", "parameters": {"id": "$response.body#/old/id"}, "description": "No."},
    "unknown": {"operationId": "no_such", "parameters": {"id": "$response.body#/new/id"}, "description": "No."},
}
PATHS: dict[str, Any] = {
    "/v1/items/tasks": {
        "get": LIST,
        "post": operation(
            "create_task",
            body={"schema": {"$ref": "#/components/schemas/Task"}},
            responses={"201": {"description": "Made.", "links": LINKS}},
        ),
    },
    "/v1/items/tasks/{id}": {
        "parameters": [parameter("id", {"type": "string"}, where="path")],
        "patch": operation(
            "edit_task", body={"schema": {"$ref": "#/components/schemas/Task"}, "example": {"done": True}}
        ),
    },
    "/v1/items/readings:by_postal_code": {"get": BY_CODE},
}
WHOLE: dict[str, Any] = {"components": COMPONENTS, "tags": [{"name": "tasks", "description": EVIL}]}
