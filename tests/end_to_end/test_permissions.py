"""What a function's role in the template does not allow is refused as AWS refuses it, inside a real function."""

import re

import pytest

from tests.end_to_end.calls import TEMPLATE, Caller
from tests.end_to_end.running import Emulator

STAGE = "https://{domainName}/{stage}"
KEY = {"pk": {"S": "one"}}


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    running = Emulator(tmp_path_factory.mktemp("calling"), template=TEMPLATE)
    yield running
    running.stop()


@pytest.fixture
async def caller(serving, session):
    one = await Caller.connect(session, serving.ready["websocket"])
    yield one
    await one.close()


def name_of(serving, function):
    return next(line.split()[-1] for line in serving.lines if re.match(rf"\s+{function}\s", line))


def table_of(serving):
    return next(line.split()[-1] for line in serving.lines if line.strip().startswith("DynamoDB"))


@pytest.mark.parametrize("who", ["nothing", "elsewhere", "reading"])
async def test_a_role_without_the_permission_for_this_stage_may_not_post(caller, who):
    code, message = await caller.manage(who, "post_to_connection", STAGE, Data="x")
    assert code == "AccessDeniedException"
    assert re.fullmatch(
        rf"User: arn:aws:sts::000000000000:assumed-role/\S*{who.capitalize()}Role\S*/\S*{who.capitalize()} is not "
        r"authorized to perform: execute-api:ManageConnections on resource: arn:aws:execute-api:us-east-1:"
        r"\*{8}0000:[a-z0-9]{10}/prod/POST/@connections/\{connectionId\}",
        message,
    )


async def test_a_role_for_post_alone_may_post_and_neither_look_nor_close(caller):
    assert await caller.manage("posting", "post_to_connection", STAGE, Data='{"note":1}') == ["ok", 200]
    for operation in ("get_connection", "delete_connection"):
        code, _ = await caller.manage("posting", operation, STAGE)
        assert code == "AccessDeniedException"
    assert not caller.socket.closed


async def test_a_role_for_everything_may_close(caller):
    await caller.send(
        {
            "as": "everything",
            "service": "apigatewaymanagementapi",
            "operation": "delete_connection",
            "endpoint": STAGE,
        }
    )
    assert await caller.ended() == 1000


async def test_only_the_named_function_may_be_invoked(serving, caller):
    allowed, other = name_of(serving, "Nothing"), name_of(serving, "Posting")
    arguments = {"InvocationType": "DryRun"}
    assert await caller.call("posting", "lambda", "invoke", FunctionName=allowed, **arguments) == ["ok", 204]
    code, message = await caller.call("posting", "lambda", "invoke", FunctionName=other, **arguments)
    assert code == "AccessDeniedException"
    assert f"lambda:InvokeFunction on resource: arn:aws:lambda:us-east-1:000000000000:function:{other} " in message
    assert message.endswith("because no identity-based policy allows the lambda:InvokeFunction action")


async def test_actions_on_a_table_are_those_of_the_policy(serving, caller):
    table = table_of(serving)
    assert await caller.call("reading", "dynamodb", "get_item", TableName=table, Key=KEY) == ["ok", 200]
    code, message = await caller.call("reading", "dynamodb", "put_item", TableName=table, Item=KEY)
    assert code == "AccessDeniedException"
    assert f"dynamodb:PutItem on resource: arn:aws:dynamodb:us-east-1:000000000000:table/{table} because" in message


async def test_an_index_has_an_arn_of_its_own(serving, caller):
    table = table_of(serving)
    query = {"TableName": table, "ExpressionAttributeValues": {":v": {"S": "red"}}}
    by_colour = {"IndexName": "by-colour", "KeyConditionExpression": "colour = :v"}
    assert await caller.call("reading", "dynamodb", "query", **query, **by_colour) == ["ok", 200]
    code, _ = await caller.call("reading", "dynamodb", "query", **query, KeyConditionExpression="pk = :v")
    assert code == "AccessDeniedException"


async def test_a_policy_template_of_sam_covers_the_table_and_no_more(serving, caller):
    table = table_of(serving)
    assert await caller.call("crud", "dynamodb", "put_item", TableName=table, Item=KEY) == ["ok", 200]
    batch = {table: [{"PutRequest": {"Item": KEY}}]}
    assert await caller.call("crud", "dynamodb", "batch_write_item", RequestItems=batch) == ["ok", 200]
    code, _ = await caller.call("crud", "dynamodb", "list_tables")
    assert code == "AccessDeniedException"
    code, _ = await caller.call("crud", "dynamodb", "delete_table", TableName=table)
    assert code == "AccessDeniedException"


async def test_a_deny_wins_over_a_policy_of_aws(serving, caller):
    table = table_of(serving)
    assert await caller.call("forbidden", "dynamodb", "put_item", TableName=table, Item=KEY) == ["ok", 200]
    code, message = await caller.call("forbidden", "dynamodb", "delete_item", TableName=table, Key=KEY)
    assert code == "AccessDeniedException"
    assert message.endswith("with an explicit deny in an identity-based policy")
    writes = [{"Put": {"TableName": table, "Item": KEY}}, {"Delete": {"TableName": table, "Key": {"pk": {"S": "2"}}}}]
    code, message = await caller.call("forbidden", "dynamodb", "transact_write_items", TransactItems=writes)
    assert "dynamodb:DeleteItem" in message


async def test_each_denial_is_told_once(serving, caller):
    for _ in range(2):
        await caller.call("nothing", "dynamodb", "list_tables")
    assert len(serving.lines_with("dynamodb:ListTables", "Nothing")) == 1


async def test_without_permissions_everything_is_allowed(start, session):
    emulator = start("--no-iam", template=TEMPLATE)
    caller = await Caller.connect(session, emulator.ready["websocket"])
    assert await caller.manage("nothing", "post_to_connection", STAGE, Data='{"note":1}') == ["ok", 200]
    assert await caller.call("nothing", "dynamodb", "list_tables") == ["ok", 200]
    await caller.close()
