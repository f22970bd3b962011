"""The services that moto answers for: their hosts, what a call needs, and what a template declares of them."""

from __future__ import annotations

import json

import pytest

from local.access.callers import Access
from local.services.application import Services
from local.services.catalogue import hosts, service_of, signing
from local.services.moto import MotoServices
from local.services.resources import action_of, arn_of, read_call
from local.stack import Function, Role
from local.template.reader import read_template

PLACE = "eu-west-1:000000000000"


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("sqs.eu-west-1.amazonaws.com", "sqs"),
        ("queue.amazonaws.com", "sqs"),
        ("eu-west-1.queue.amazonaws.com", "sqs"),
        ("sns.eu-west-1.amazonaws.com", "sns"),
        ("cognito-idp.eu-west-1.amazonaws.com", "cognito-idp"),
        ("sts.amazonaws.com", "sts"),
        ("s3.amazonaws.com", "s3"),
        ("my.bucket.s3.eu-west-1.amazonaws.com", "s3"),
        ("bucket.s3.amazonaws.com", "s3"),
        ("sqs.us-east-1.amazonaws.com", None),
        ("bedrock-runtime.eu-west-1.amazonaws.com", None),
        ("states.eu-west-1.amazonaws.com", None),
        ("dynamodb.eu-west-1.amazonaws.com", None),
        ("evilsqs.eu-west-1.amazonaws.com", None),
        ("sqs.eu-west-1.amazonaws.com.example.com", None),
    ],
)
def test_a_host_leads_to_its_service(host, service):
    found = hosts("eu-west-1", "amazonaws.com").fullmatch(host)
    assert (service_of(found) if found else None) == service


def test_a_signature_names_a_service_that_is_here_or_none():
    assert [signing(name) for name in ("sqs", "ses", "bedrock", "dynamodb")] == ["sqs", "email", None, None]


@pytest.mark.parametrize(
    ("iam", "members", "path", "arn"),
    [
        (
            "sqs",
            {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/000000000000/jobs"},
            "/",
            f"arn:aws:sqs:{PLACE}:jobs",
        ),
        ("sqs", {"QueueName": "jobs"}, "/", f"arn:aws:sqs:{PLACE}:jobs"),
        ("sns", {"TopicArn": f"arn:aws:sns:{PLACE}:told"}, "/", f"arn:aws:sns:{PLACE}:told"),
        ("sns", {"Name": "told"}, "/", f"arn:aws:sns:{PLACE}:told"),
        ("ssm", {"Name": "/a/b"}, "/", f"arn:aws:ssm:{PLACE}:parameter/a/b"),
        ("kinesis", {"StreamName": "s"}, "/", f"arn:aws:kinesis:{PLACE}:stream/s"),
        ("s3", {}, "/store/a/b", "arn:aws:s3:::store/a/b"),
        ("s3", {}, "/", None),
        ("secretsmanager", {"SecretId": "key"}, "/", None),
        ("events", {"Entries": []}, "/", None),
    ],
)
def test_what_a_call_is_about_has_an_arn_where_one_can_be_made(iam, members, path, arn):
    assert arn_of(iam, members, path, place=PLACE, partition="aws") == arn


def test_a_call_is_read_in_each_of_awss_protocols():
    assert read_call({"x-amz-target": "AmazonSQS.SendMessage"}, "", b'{"MessageBody":"x"}') == (
        "SendMessage",
        {"MessageBody": "x"},
    )
    assert read_call({"content-type": "application/x-www-form-urlencoded"}, "", b"Action=Publish&Message=a%20b") == (
        "Publish",
        {"Action": "Publish", "Message": "a b"},
    )
    assert read_call({}, "list-type=2", b"")[0] == ""
    assert read_call({"x-amz-target": "AmazonSQS.SendMessage"}, "", b"[") == ("SendMessage", {})


def test_a_batch_is_allowed_by_what_allows_one():
    assert [action_of("sqs", one) for one in ("SendMessageBatch", "PurgeQueue")] == [
        "sqs:SendMessage",
        "sqs:PurgeQueue",
    ]


TEMPLATE = """\
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: api, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Failed: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 5}}
  Jobs:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: jobs
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 3}
  Told:
    Type: AWS::SNS::Topic
    Properties: {TopicName: told, Subscription: [{Protocol: email, Endpoint: me@example.com}]}
  Heard: {Type: AWS::SNS::Subscription, Properties: {TopicArn: !Ref Told, Protocol: sqs, Endpoint: !GetAtt Jobs.Arn}}
  Files: {Type: AWS::S3::Bucket, Properties: {BucketName: files}}
  Greeting: {Type: AWS::SSM::Parameter, Properties: {Name: /greeting, Type: String, Value: hello}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    (folder / "template.yaml").write_text(TEMPLATE)
    return read_template(folder / "template.yaml", parameters={}, name="s", cache=folder / "cache")


def test_what_a_template_declares_becomes_calls_in_an_order_that_works(stack):
    assert [(one.logical_id, one.operation) for one in stack.resources] == [
        ("Failed", "CreateQueue"),
        ("Jobs", "CreateQueue"),
        ("Told", "CreateTopic"),
        ("Heard", "Subscribe"),
        ("Files", "CreateBucket"),
        ("Greeting", "PutParameter"),
    ]
    assert stack.resources[0].members == {"QueueName": "s-Failed", "Attributes": {"VisibilityTimeout": "5"}}
    assert not any("ignored" in warning for warning in stack.warnings)


def headers_for(target):
    return {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}


@pytest.fixture(scope="module")
def services(stack):
    return MotoServices(
        region="us-east-1", suffix="amazonaws.com", account_id="000000000000", resources=stack.resources
    )


@pytest.mark.contract
def test_a_message_that_is_published_reaches_the_subscribed_queue(services):
    form = b"Action=Publish&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3Atold&Message=hi"
    published = services.answer("sns", "POST", "/", {"content-type": "application/x-www-form-urlencoded"}, form)
    assert published.status == 200, published
    where = b'{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/000000000000/jobs","AttributeNames":["All"]}'
    received = services.answer("sqs", "POST", "/", headers_for("AmazonSQS.ReceiveMessage"), where)
    assert json.loads(json.loads(received.body)["Messages"][0]["Body"])["Message"] == "hi"
    looked = services.answer("sqs", "POST", "/", headers_for("AmazonSQS.GetQueueAttributes"), where)
    assert "s-Failed" in json.loads(looked.body)["Attributes"]["RedrivePolicy"]


SIGNED = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, Signature=x"}


@pytest.mark.contract
def test_buckets_and_parameters_of_the_template_are_there(services):
    assert services.answer("s3", "PUT", "/files/a", SIGNED, b"content").status == 200
    assert services.answer("s3", "GET", "/files/a", SIGNED, b"").body == b"content"
    assert services.operation("s3", "PUT", "/files/a", {}, b"content") == "PutObject"
    found = services.answer("ssm", "POST", "/", headers_for("AmazonSSM.GetParameter"), b'{"Name":"/greeting"}')
    assert json.loads(found.body)["Parameter"]["Value"] == "hello"


def test_a_service_whose_packages_are_missing_says_how_to_install_them(services, monkeypatch, caplog):
    def miss(*_):
        raise ModuleNotFoundError("No module named 'joserfc'", name="joserfc")

    monkeypatch.setattr(services, "_ask", miss)
    answer = services.answer("cognito-idp", "POST", "/", {}, b"")
    assert answer.status == 501
    assert "pip install 'moto[cognitoidp]'" in json.loads(answer.body)["message"]
    assert "cognito-idp is not served" in caplog.text


class Asked:
    """A request to the ASGI application, and what it answered."""

    def __init__(self, key, target, body):
        credential = (
            f"AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/{target[0]}/aws4_request, SignedHeaders=host"
        )
        self.scope = {
            "method": "POST",
            "raw_path": b"/",
            "query_string": b"",
            "headers": [(b"authorization", credential.encode()), *target[1]],
        }
        self.body = body
        self.sent = []

    async def receive(self):
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message):
        self.sent.append(message)


SQS = ("sqs", [(b"x-amz-target", b"AmazonSQS.SendMessage")])
SNS = ("sns", [(b"content-type", b"application/x-www-form-urlencoded")])


@pytest.fixture
def ask(tmp_path, monkeypatch):
    allowed = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1:000000000000:mine"}
    role = Role("r", ({"Statement": [allowed, {"Effect": "Allow", "Action": "events:Put*", "Resource": "x"}]},))
    access = Access(
        administrator=("test", "test"),
        functions=[Function("F", "f", "arn:f", "app.handler", tmp_path, role=role)],
        region="us-east-1",
        account_id="000000000000",
        signed=False,
    )
    serving = Services(access, region="us-east-1", suffix="amazonaws.com", account_id="000000000000")
    monkeypatch.setattr(serving._moto, "answer", lambda *_: (200, {}, b"from moto"))
    key = access.credentials()["F"]["AWS_ACCESS_KEY_ID"]

    async def ask(target, body, who=key):
        asked = Asked(who, target, body)
        return await serving._answer(serving.asked(asked.scope, None), asked.scope, body)

    return ask


async def test_a_role_may_do_what_it_allows_and_nothing_else(ask):
    assert (await ask(SQS, b'{"QueueUrl":"https://x/0/mine"}'))[2] == b"from moto"
    status, headers, body = await ask(SQS, b'{"QueueUrl":"https://x/0/other"}')
    assert (status, headers["x-amzn-errortype"]) == (400, "AccessDeniedException")
    assert (
        "sqs:SendMessage on resource: arn:aws:sqs:us-east-1:000000000000:other because no"
        in json.loads(body)["Message"]
    )


async def test_a_refusal_in_xml_has_the_services_own_code(ask):
    status, _, body = await ask(SNS, b"Action=Publish&TopicArn=arn:aws:sns:us-east-1:000000000000:t")
    assert status == 403
    assert b"<Code>AuthorizationError</Code><Message>User: arn:aws:sts::000000000000:assumed-role/r/f is not" in body


async def test_where_the_resource_is_not_known_an_allow_for_any_is_enough(ask):
    events = ("events", [(b"x-amz-target", b"AWSEvents.PutEvents")])
    assert (await ask(events, b'{"Entries":[]}'))[2] == b"from moto"
    removing = ("events", [(b"x-amz-target", b"AWSEvents.RemoveTargets")])
    assert (await ask(removing, b"{}"))[0] == 400


async def test_the_administrator_may_do_everything(ask):
    assert (await ask(SNS, b"Action=Publish", who="test"))[2] == b"from moto"


async def test_anybody_may_ask_who_he_is(ask):
    who_am_i = ("sts", [(b"content-type", b"application/x-www-form-urlencoded")])
    assert (await ask(who_am_i, b"Action=GetCallerIdentity"))[2] == b"from moto"


async def test_what_is_not_signed_is_for_a_service_that_has_such_operations_or_for_none(tmp_path):
    access = Access(administrator=("test", "test"), functions=[], region="us-east-1", account_id="000000000000")
    serving = Services(access, region="us-east-1", suffix="amazonaws.com", account_id="000000000000")
    scope = {"query_string": b"", "headers": []}
    assert serving.asked(scope, "AWSCognitoIdentityProviderService.InitiateAuth") == "cognito-idp"
    assert serving.asked(scope, "AmazonSQS.SendMessage") is None
    assert serving.asked(scope, None) is None


async def test_nobody_is_the_administrator_without_a_signature(tmp_path):
    access = Access(administrator=("test", "test"), functions=[], region="us-east-1", account_id="000000000000")
    serving = Services(access, region="us-east-1", suffix="amazonaws.com", account_id="000000000000")
    scope = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": [(b"x-amz-target", b"AmazonSQS.X")]}
    status, headers, _ = await serving._answer("sqs", scope, b"{}")
    assert (status, headers["x-amzn-errortype"]) == (403, "MissingAuthenticationTokenException")
    unknown = b"AWS4-HMAC-SHA256 Credential=AKIAUNKNOWN/20260101/us-east-1/s3/aws4_request, Signature=x"
    stranger = {"method": "GET", "raw_path": b"/files", "query_string": b"", "headers": [(b"authorization", unknown)]}
    status, _, body = await serving._answer("s3", stranger, b"")
    assert (status, b"<Code>InvalidAccessKeyId</Code>" in body) == (403, True)


@pytest.mark.parametrize(
    ("failure", "status"), [(NotImplementedError("The Tag action has not been implemented"), 501), (KeyError("x"), 500)]
)
def test_what_moto_cannot_do_is_an_answer_and_a_line_in_the_log(services, monkeypatch, caplog, failure, status):
    def fail(*_):
        raise failure

    monkeypatch.setattr(services, "_ask", fail)
    monkeypatch.setattr(services, "_ready", {"sqs"})
    assert services.answer("sqs", "POST", "/", {}, b"").status == status
    assert "sqs" in caplog.text
