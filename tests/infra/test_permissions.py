"""
What each function's role allows, against what its code does.

The calls are read from the source: a call of the hub's client inside a method makes that method need an action, and a
mention of such a method in a function's own modules makes the function need it. Names are enough for that, because
those methods have names that hardly anything else has.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Where a function's code is, besides the hub's.
MODULES = {
    "ConnectFunction": ["handlers/connect.py"],
    "DisconnectFunction": ["handlers/disconnect.py"],
    "MessageFunction": ["handlers/message.py"],
    # Without the analysis, which reaches nobody, and where everything has a close.
    "TickFunction": sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / "scheduler").rglob("*.py")
        if path.parent.name != "analysis" and path.name not in {"deliver.py", "simulate.py"}
    ),
    "FanoutFunction": ["scheduler/broadcast.py", "scheduler/deliver.py", "scheduler/telling.py"],
}
#: Where the calls to AWS are made; a method here that calls AWS is a port's.
PORTS = [
    "handlers/hub/candles.py",
    "handlers/hub/connections.py",
    "handlers/hub/management.py",
    "handlers/hub/snapshots.py",
    "scheduler/claims.py",
    "scheduler/groups.py",
    "scheduler/invoker.py",
]
#: Methods of the hub's clients, and the management API's verbs, by the action that IAM calls them.
ACTIONS = {
    "batch_write_item": "dynamodb:BatchWriteItem",
    "delete_item": "dynamodb:DeleteItem",
    "get_item": "dynamodb:GetItem",
    "call": "lambda:InvokeFunction",
    "put_item": "dynamodb:PutItem",
    "query": "dynamodb:Query",
    "update_item": "dynamodb:UpdateItem",
    "POST": "execute-api:ManageConnections POST",
    "GET": "execute-api:ManageConnections GET",
    "DELETE": "execute-api:ManageConnections DELETE",
}
#: Methods of a client that call nobody.
SILENT = {"close"}
#: What has the name of a port's method and is none.
OTHERWISE = {
    f"{receiver}.close"
    for receiver in (
        *("candle", "composer", "connection", "one", "provider", "row"),
        *("self._keeper", "self._provider", "self._reference", "self._rest", "self._runner"),
    )
}


def calls_in(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]


def operation_of(call: ast.Call) -> str | None:
    """Name the operation that a call asks of AWS, or None."""
    assert isinstance(call.func, ast.Attribute)
    name, receiver = call.func.attr, ast.unparse(call.func.value)
    first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    if receiver.split(".")[-1] in {"_client", "client", "_table", "table"} and name not in SILENT:
        return name
    if name == "_call" and first in {"POST", "GET", "DELETE"}:
        return str(first)
    return None


def operations() -> dict[str, set[str]]:
    """Map the names of the ports' methods to the operations in them."""
    found: dict[str, set[str]] = {}
    for path in PORTS:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        methods = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        bodies = {method.name: method for method in methods}
        for method in methods:
            # A method of the same port that is called counts too.
            helpers = [
                bodies[call.func.attr]
                for call in calls_in(method)
                if ast.unparse(call.func.value) == "self" and call.func.attr in bodies
            ]
            calls = [call for one in (method, *helpers) for call in calls_in(one)]
            if asked := {operation for call in calls if (operation := operation_of(call))}:
                found.setdefault(method.name, set()).update(asked)
    return found


def needed(function: str) -> set[str]:
    """List the actions that a function's code needs."""
    asked = operations()
    names = {
        node.attr
        for module in MODULES[function]
        for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) not in OTHERWISE
    }
    return {ACTIONS[operation] for name in names & asked.keys() for operation in asked[name]}


def allowed(source, function: str) -> dict[str, object]:
    """Map the actions that a function's role allows to the resource it allows them on."""
    actions: dict[str, object] = {}
    for policy in source["Resources"][function]["Properties"]["Policies"]:
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            asked = statement["Action"]
            for action in asked if isinstance(asked, list) else [asked]:
                actions[action] = statement["Resource"]
    return actions


def test_every_call_to_aws_has_its_action():
    assert {operation for asked in operations().values() for operation in asked} <= ACTIONS.keys()


def test_aws_is_called_from_the_ports_alone():
    for path in [*(ROOT / "handlers").rglob("*.py"), *(ROOT / "scheduler").rglob("*.py")]:
        if str(path.relative_to(ROOT)) not in PORTS:
            calls = calls_in(ast.parse(path.read_text(encoding="utf-8")))
            assert not {operation_of(call) for call in calls} & ACTIONS.keys(), path


@pytest.mark.parametrize("function", MODULES)
def test_a_function_may_do_what_its_code_does_and_nothing_else(source, function):
    permitted = set()
    for action, resource in allowed(source, function).items():
        if action == "execute-api:ManageConnections":
            verb = str(resource["Fn::Sub"]).split("/")[-3]
            permitted.add(f"{action} {verb}")
        else:
            permitted.add(action)
    assert permitted == needed(function)


@pytest.mark.parametrize("function", MODULES)
def test_a_function_may_only_touch_this_table_and_this_stage(source, function):
    stage = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/${StageName}/"
    for action, resource in allowed(source, function).items():
        assert "*" not in action
        if action.startswith("dynamodb:"):
            assert resource == {"Fn::GetAtt": ["Table", "Arn"]}
        elif action == "lambda:InvokeFunction":
            assert resource == {"Fn::GetAtt": ["FanoutFunction", "Arn"]}
        else:
            assert resource == {"Fn::Sub": f"{stage}POST/@connections/*"}
