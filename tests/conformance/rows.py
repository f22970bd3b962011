"""
What is known of API Gateway's WebSocket APIs, fact by fact, and how each is checked.

An id is section.table.row of the notes that the facts were gathered in: 1 events, 2 routes, 3 handshake, 4 messages,
5 management API, 6 ``$disconnect``. Marks: C is confirmed by AWS's documents, AWS's own code or captured events,
R is reported by users, G is a guess.
"""

# ruff: noqa: E501 # a fact is one line here, as it is in the report
# fmt: off

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """
    One fact.

    ``tests`` of this suite check it, or ``units`` outside of it; ``choice`` is the member of ``local.limits.Choices``
    that changes it, and ``differs`` says in what the emulator differs from it, or from what nobody could check, and
    why.
    """

    id: str
    mark: str
    says: str
    tests: tuple[str, ...] = ()
    choice: str = ""
    differs: str = ""
    units: tuple[str, ...] = ()


def _row(
    id_: str, mark: str, says: str, tests: str = "", *, choice: str = "", differs: str = "", units: str = ""
) -> Row:
    return Row(id_, mark, says, tuple(f"test_{name}" for name in tests.split()), choice, differs, tuple(units.split()))


_MEMBERS = "each_event_has_its_members_in_their_order"
_CONTEXT = "request_context_has_its_members_in_their_order"
_SAME = "what_belongs_to_the_connection_is_the_same_in_all_its_events"
_ASKED = "the_authorizers_input_has_its_members_in_their_order"
_SHOWN = "the_context_reaches_every_event_as_strings"
_ROUTE = "a_message_takes_the_route_that_its_body_names"
_PARTS = "an_expression_of_several_parts_is_put_together"
_STATUS = "any_other_status_reaches_the_client_without_the_functions_headers_and_body"
_502 = "a_failing_or_malformed_answer_is_502"
_DECIDES = "the_authorizers_answer_decides"
_GONE = "an_unknown_or_closed_connection_is_gone"
_CALLS = "each_call_has_its_status_and_body"
_LEFT = "the_function_is_told_how_the_client_left"
_MALFORMED = "a_malformed_answer_is_an_error_frame_on_either_route"
_UNSEEN = "Nothing that a client or a function could observe."

ROWS = (
    # 1.1 which member appears in which event
    _row("1.1.1.1", "C", "Only an authorizer's input has `type`, and it is `REQUEST`", f"{_ASKED} {_MEMBERS}"),
    _row("1.1.1.2", "C", "Only an authorizer's input has `methodArn`, that of `$connect`", f"{_ASKED} {_MEMBERS}"),
    _row("1.1.1.3", "C", "CONNECT, DISCONNECT and the authorizer's input have `headers`, a message has none", f"{_MEMBERS} {_ASKED}"),
    _row("1.1.1.4", "C", "`multiValueHeaders` goes with `headers`, every value in a list", f"{_MEMBERS} headers_are_sorted_without_case_and_keep_theirs"),
    _row("1.1.1.5", "C", "`queryStringParameters` is there only if the URL had a query, and never in messages", f"{_MEMBERS} without_a_query_its_members_are_absent"),
    _row("1.1.1.6", "C", "`multiValueQueryStringParameters` goes with it", f"{_MEMBERS} a_query_is_decoded_and_its_last_value_is_the_single_one"),
    _row("1.1.1.7", "C", "`stageVariables` is absent where there are none, and a map in the authorizer's input always", f"{_MEMBERS} {_ASKED}"),
    _row("1.1.1.8", "C", "Every event has `requestContext`", f"{_MEMBERS} {_ASKED}"),
    _row("1.1.1.9", "C", "Only a message has `body`: the raw text", f"{_MEMBERS} the_body_of_a_message_is_the_raw_text"),
    _row("1.1.1.10", "C", "`isBase64Encoded` is false in all events, and absent from the authorizer's input", f"{_MEMBERS} {_ASKED}"),
    _row("1.1.1.11", "C", "Members of REST and HTTP events are never there", _MEMBERS),
    # 1.1 requestContext
    _row("1.1.2.1", "C", "`routeKey` comes first", _CONTEXT),
    _row("1.1.2.2", "C", "`disconnectStatusCode` is there at DISCONNECT only", _CONTEXT),
    _row("1.1.2.3", "C", "`authorizer` is there only if one was asked", f"{_CONTEXT} {_SHOWN}"),
    _row("1.1.2.4", "C", "`messageId` is there in messages only", _CONTEXT),
    _row("1.1.2.5", "C", "`eventType` is CONNECT, MESSAGE or DISCONNECT", _CONTEXT),
    _row("1.1.2.6", "C", "`extendedRequestId` equals `requestId`", _CONTEXT),
    _row("1.1.2.7", "C", "`requestTime` is in the common log format, UTC and English", f"{_CONTEXT} request_time_is_the_epoch_in_utc"),
    _row("1.1.2.8", "C", "`messageDirection` is IN", _CONTEXT),
    _row("1.1.2.9", "C", "`disconnectReason` is there at DISCONNECT only", _CONTEXT),
    _row("1.1.2.10", "C", "`stage` is the stage's name", _SAME),
    _row("1.1.2.11", "C", "`connectedAt` stays the same", _SAME),
    _row("1.1.2.12", "C", "`requestTimeEpoch` is milliseconds, at CONNECT soon after `connectedAt`", f"{_CONTEXT} {_SAME}"),
    _row("1.1.2.13", "C", "`identity` stays what it was at connect", _SAME),
    _row("1.1.2.14", "C", "`requestId` is new in each event", _SAME),
    _row("1.1.2.15", "C", "`domainName` is the host that the client used", _SAME),
    _row("1.1.2.16", "C", "`connectionId` stays the same", _SAME),
    _row("1.1.2.17", "C", "`apiId` is ten lower-case letters and digits", _CONTEXT),
    _row("1.1.2.18", "R", "`authorizer` stands behind `disconnectStatusCode`", _SHOWN),
    # 1.2 identity
    _row("1.2.1.1", "C", "`userAgent`, absent if none was sent, then `sourceIp`", "identity_has_no_user_agent_where_none_was_sent"),
    _row("1.2.1.2", "C", "With an API key `apiKey` and `apiKeyId` come first", "an_api_key_is_shown_in_identity"),
    _row("1.2.1.3", "C", "With IAM the caller's members are there; G: those without a value are absent", "a_signature_is_shown_in_identity", differs="Members are `accountId`, `caller`, `user`, `userArn` and `accessKey`; their order is that of events of 2018 to 2021. Amazon Cognito is not emulated."),
    _row("1.2.1.4", "C", "Events of 2018 to 2021 showed every member, with null", differs="Today's events are made, not those of old APIs."),
    _row("1.2.1.5", "C", "Behind CloudFront the client's address and agent are CloudFront's", differs="No CloudFront stands in front of the emulator."),
    # 1.3 authorizer
    _row("1.3.1.1", "C", "A flat map of `principalId` and the context, all strings", _SHOWN),
    _row("1.3.1.2", "C", "CONNECT alone has `integrationLatency`, a number", _SHOWN),
    _row("1.3.1.3", "C", "The same context is in every message and at DISCONNECT, without asking again", f"{_SHOWN} the_authorizer_is_asked_once_for_each_connection"),
    # 1.4 ids
    _row("1.4.1.1", "C", "The first 30 bits are a time in steps of 100 ms", "ids_carry_the_time_and_the_region ids_sort_by_time"),
    _row("1.4.1.2", "C", "Four bits tell the kind", "ids_have_their_form"),
    _row("1.4.1.3", "G", "15 bits are random", "ids_have_their_form"),
    _row("1.4.1.4", "C", "15 bits are constant in a region", "ids_carry_the_time_and_the_region"),
    _row("1.4.1.5", "C", "Eight bits tell the role", "ids_have_their_form"),
    _row("1.4.1.6", "C", "14 bits are the same for a connection and its messages", "ids_have_their_form"),
    _row("1.4.1.7", "C", "The last character is A, Q, g or w", "ids_have_their_form"),
    _row("1.4.1.8", "G", "Other regions' constants are unknown", differs="A hash of the region's name stands in, so that ids of two regions differ.", units="test_ids.py::test_an_unknown_region_has_bits_of_its_own"),
    # 1.5 headers
    _row("1.5.1.1", "C", "Header maps are sorted without regard to case", f"headers_are_sorted_without_case_and_keep_theirs {_ASKED}"),
    _row("1.5.1.2", "C", "At CONNECT names keep the client's casing", "headers_are_sorted_without_case_and_keep_theirs"),
    _row("1.5.1.3", "C", "CONNECT always has the host, the handshake's and the forwarding headers; others only if sent", "connect_always_has_the_gateways_own_headers connect_has_what_a_browser_sends"),
    _row("1.5.1.4", "C", "CONNECT drops `Connection`, `Upgrade` and `content-length`, which the authorizer's input keeps", f"connect_always_has_the_gateways_own_headers {_ASKED}"),
    _row("1.5.1.5", "C", "`X-Amzn-Trace-Id` has a root with the time, and nothing else", "connect_always_has_the_gateways_own_headers"),
    _row("1.5.1.6", "C", "`X-Forwarded-Proto` is https", "connect_always_has_the_gateways_own_headers"),
    _row("1.5.1.7", "C", "A browser's headers are passed on", "connect_has_what_a_browser_sends"),
    _row("1.5.1.8", "C", "One capture has an empty `Sec-WebSocket-Extensions` beside a filled list", differs="A single capture whose two maps disagree, perhaps edited by hand; here both show what was sent."),
    _row("1.5.1.9", "C", "DISCONNECT has exactly four headers of its own", "disconnect_has_four_headers_of_its_own"),
    _row("1.5.1.10", "C", "Behind a mapping of several levels all header names are in lower case", units="test_stages.py::test_behind_a_mapping_of_several_levels_the_names_of_headers_are_in_lower_case test_events.py::test_where_names_are_in_lower_case_so_are_the_gateways_own"),
    _row("1.5.1.11", "G", "The single map has a repeated query key's last value, the list map all", "a_query_is_decoded_and_its_last_value_is_the_single_one"),
    # 1.6 around the event
    _row("1.6.1.1", "R", "The function is invoked synchronously by its ARN", "functions_are_invoked_synchronously_by_their_arn", differs="The headers of the call to Lambda are not made: functions cannot see them."),
    _row("1.6.1.2", "C", "A function's resource policy must let the gateway invoke it", differs="The emulator reads `AWS::Lambda::Permission` but does not demand it: SAM writes it by itself."),
    # 2 routes
    _row("2.1.1.1", "C", "A WebSocket API must have a route selection expression", differs="A template without one is refused at the start.", units="test_declared_apis.py::test_an_api_without_a_selection_expression_is_refused"),
    _row("2.1.1.2", "C", "Paths with and without braces, several of them, static text", f"{_ROUTE} {_PARTS} static_text_and_an_escaped_dollar_select_one_route"),
    _row("2.1.1.3", "C", "A path that leads nowhere is the empty string inside braces", _PARTS),
    _row("2.1.1.4", "C", "An array becomes `[item1, item2]`", _PARTS),
    _row("2.1.1.5", "C", r"`\$default` is the literal `$default`", "static_text_and_an_escaped_dollar_select_one_route"),
    _row("2.1.1.6", "C", "An expression is evaluated once", _ROUTE),
    _row("2.1.1.7", "C", "Patterns select responses, not routes", _ROUTE),
    _row("2.1.1.8", "C", "A route key matches exactly, with its case", _ROUTE),
    _row("2.1.1.9", "C", "A custom key, then `$default`, then an error frame", f"{_ROUTE} without_a_route_the_client_reads_forbidden_and_stays"),
    _row("2.1.1.10", "C", "Text that is no JSON goes to `$default`", _ROUTE),
    _row("2.1.1.11", "C", "JSON without the key, or with another value, goes to `$default`", _ROUTE),
    _row("2.1.1.12", "C", "Custom keys do not begin with a dollar; G: so a message cannot name `$connect`", _ROUTE),
    _row("2.1.1.13", "G", "Numbers and truth values are stringified", _ROUTE, choice="numbers_select"),
    _row("2.1.1.14", "R", "Without a route the client reads Forbidden and stays", "without_a_route_the_client_reads_forbidden_and_stays"),
    _row("2.1.1.15", "R", "Error frames have a blank after their first colon only", "without_a_route_the_client_reads_forbidden_and_stays"),
    _row("2.1.1.16", "C", "An error frame has the connection's id and a request id", "without_a_route_the_client_reads_forbidden_and_stays"),
    _row("2.1.1.17", "C", "A message that breaks its request model is answered `Bad request body`, with a messageId", "a_message_that_breaks_its_model_is_a_bad_request the_body_selects_the_model_that_a_message_must_obey"),
    _row("2.1.1.18", "C", "A binary frame closes with 1003", "a_binary_message_closes_with_1003 a_wrong_frame_closes_with_its_code"),
    _row("2.1.1.19", "C", "Content handling converts payloads of non-proxy integrations", "content_handling_decodes_what_goes_in_and_encodes_what_comes_out templates_make_the_event_and_the_answer_of_a_custom_integration"),
    _row("2.1.1.20", "G", "An empty text goes to `$default` with an empty body", "an_empty_message_has_an_empty_body"),
    _row("2.1.1.21", "C", "An API key is read from its header, or from the authorizer's answer", "an_api_key_is_shown_in_identity without_the_api_key_nobody_gets_in", units="test_admission.py::test_the_key_may_come_from_the_authorizer"),
    _row("2.1.1.22", "C", "API mappings select by the base path only", units="test_stages.py::test_a_mapping_of_an_own_domain_wants_its_slash"),
    _row("2.1.1.23", "C", "Route responses select `$default` only", "a_two_way_route_sends_the_body_whatever_the_status"),
    # 3.1 result of the upgrade
    _row("3.1.1.1", "C", "Without a `$connect` integration everybody is accepted", "without_a_connect_route_everybody_is_accepted"),
    _row("3.1.1.2", "C", "200 accepts", "any_2xx_opens_the_connection"),
    _row("3.1.1.3", "G", "So does any other 2xx", "any_2xx_opens_the_connection", choice="any_success_opens"),
    _row("3.1.1.4", "C", "A function should not return 101", differs="What becomes of it is unknown; here it is 502, as 101 is the gateway's own to say.", units="test_gateway.py::test_a_status_that_ends_nothing_is_502"),
    _row("3.1.1.5", "C", "4xx reaches the client", _STATUS),
    _row("3.1.1.6", "R", "So do 401 and 403", _STATUS),
    _row("3.1.1.7", "G", "So does 5xx", _STATUS, choice="fault_statuses_pass"),
    _row("3.1.1.8", "R", "A function that raises, ends or answers in another shape is 502", f"{_502} a_refusal_is_json_with_the_gateways_headers"),
    _row("3.1.1.9", "C", "A function that cannot be invoked is 500", differs="No function of a template can be missing here.", units="test_gateway.py::test_a_failed_connect_function_is_a_refusal"),
    _row("3.1.1.10", "G", "An integration that takes longer than its timeout is 504", "a_function_that_exceeds_the_integrations_time_is_504", choice="connect_timeout_status"),
    _row("3.1.1.11", "C", "The upgrade is held until the integration has answered", "the_upgrade_is_held_until_the_function_has_answered no_data_flows_before_the_function_has_answered what_a_client_says_too_early_waits_for_the_101"),
    _row("3.1.1.12", "C", "The function's headers and body are dropped, but for the sub-protocol", f"{_STATUS} only_the_function_picks_a_sub_protocol"),
    _row("3.1.1.13", "C", 'A refusal\'s body is `{"message": …}`', f"{_STATUS} {_502} a_refusal_is_json_with_the_gateways_headers"),
    _row("3.1.1.14", "R", "A wrong stage is 403 Forbidden", "another_stage_is_forbidden"),
    _row("3.1.1.15", "R", "A mapped custom domain wants its slash at the end", units="test_stages.py::test_a_mapping_of_an_own_domain_wants_its_slash"),
    _row("3.1.1.16", "C", "A slash behind the stage is accepted", "a_slash_behind_the_stage_is_the_stage"),
    _row("3.1.1.17", "R", "A path behind the stage is refused", "a_path_behind_the_stage_is_refused"),
    _row("3.1.1.18", "R", "A request without an upgrade is 426", "a_request_without_an_upgrade_is_426 a_request_that_begins_no_websocket_is_refused_as_json an_upgrade_with_an_empty_body_is_one_like_others"),
    _row("3.1.1.19", "R", "More connections than the quota are 429", "more_connections_a_second_than_the_quota_are_429"),
    _row("3.1.1.20", "C", "A missing or wrong API key is 403", "without_the_api_key_nobody_gets_in"),
    _row("3.1.1.21", "C", "TLS only", differs="Plain `ws://` on the loopback is served beside TLS: certificates would stand in the way of a first try.", units="test_certificates.py::test_whoever_has_the_bundle_trusts_every_name_that_is_answered"),
    _row("3.1.1.22", "C", "A URL has at most 4,096 characters", "a_url_over_4096_characters_is_refused a_url_of_4096_characters_is_taken headers_that_nobody_reads_are_refused", choice="long_url_status"),
    _row("3.1.1.23", "C", "The origin is never checked", "the_origin_is_not_checked"),
    # 3.2 headers of the answers
    _row("3.2.1.1", "R", "The 101's headers, in their mixture of capitals", "the_101_has_the_gateways_headers"),
    _row("3.2.1.2", "G", "Refusals carry a request id, an error type and an extended id", "a_refusal_is_json_with_the_gateways_headers", differs="A status that a function chose has no error type: REST APIs have none there either."),
    # 3.3 sub-protocols
    _row("3.3.1.1", "C", "The gateway picks none; the function returns one", "only_the_function_picks_a_sub_protocol"),
    _row("3.3.1.2", "R", "If the function returns none the 101 has none", "only_the_function_picks_a_sub_protocol"),
    _row("3.3.1.3", "C", "The offer is one string, joined by commas", "connect_has_what_a_browser_sends"),
    _row("3.3.1.4", "C", "There since June 2020", differs=_UNSEEN),
    # 3.4 authorizers
    _row("3.4.1.1", "C", "REQUEST authorizers only, and on `$connect` only", _ASKED, differs="An authorizer on another route is named at the start and ignored."),
    _row("3.4.1.2", "C", "Identity sources are headers, query parameters, stage variables and context", "a_missing_identity_source_is_401_and_nobody_is_asked an_allow_that_matches_lets_in"),
    _row("3.4.1.3", "C", "A missing or empty identity source is 401, and the function is not invoked", "a_missing_identity_source_is_401_and_nobody_is_asked"),
    _row("3.4.1.4", "C", "A function that raises exactly `Unauthorized` is 401", _DECIDES),
    _row("3.4.1.5", "C", "A policy that denies, or allows nothing that matches (`…/stage/*/*`), is 403", f"{_DECIDES} an_allow_that_matches_lets_in", choice="denied_message"),
    _row("3.4.1.6", "R", "Any other exception or shape is 500", _DECIDES),
    _row("3.4.1.7", "C", "Context holds strings, numbers and truth values; the answer has at most 8 KB", f"{_SHOWN} {_DECIDES}"),
    _row("3.4.1.8", "C", "No answer is kept: one invocation for each connection", "the_authorizer_is_asked_once_for_each_connection"),
    _row("3.4.1.9", "R", "A Deny for message routes is not enforced", "a_denied_message_route_is_served_all_the_same"),
    _row("3.4.1.10", "C", "AWS_IAM wants a signature; without it 403", "an_unsigned_upgrade_is_forbidden_where_a_signature_is_wanted a_signed_upgrade_gets_in an_upgrade_signed_in_its_headers_gets_in"),
    _row("3.4.1.11", "C", "The authorizer is run before `$connect`; if it refuses, that is not invoked", _DECIDES),
    _row("3.4.1.12", "G", "A handshake that `$connect` refused has no `$disconnect`", "a_refused_handshake_has_no_disconnect", choice="refused_is_told"),
    _row("3.4.1.13", "C", "Changes want a deployment, and open sockets keep their context", differs="A template is read once, at the start."),
    # 3.5
    _row("3.5.1.1", "C", "Inside `$connect` the connection is gone: for posts, and G for the other calls", "a_connection_is_gone_while_its_connect_function_runs"),
    # 4.1 sizes and close codes
    _row("4.1.1.1", "C", "A message has at most 131,072 bytes", "a_message_of_128_kb_in_frames_of_32_kb_is_taken a_message_over_128_kb_closes_with_1009"),
    _row("4.1.1.2", "C", "A frame has at most 32 KB; longer messages come in fragments", "a_message_of_128_kb_in_frames_of_32_kb_is_taken a_message_in_fragments_arrives_as_one"),
    _row("4.1.1.3", "C", "More of either closes with 1009", "a_message_over_128_kb_closes_with_1009 a_frame_over_32_kb_closes_with_1009"),
    _row("4.1.1.4", "G", "The reason with it is unknown", "a_message_over_128_kb_closes_with_1009", choice="refusal_reason"),
    _row("4.1.1.5", "R", "A post of 128 KB arrives, in frames of 32 KB", "a_long_post_arrives_in_frames_of_at_most_32_kb"),
    _row("4.1.1.6", "G", "`Message too long` is sent to nobody who says too much; somebody remembers it in place of a two-way answer over 128 KB", "a_frame_over_32_kb_closes_with_1009", choice="long_answer_message", units="test_gateway.py::test_a_two_way_answer_over_128_kb_is_an_error_frame"),
    _row("4.1.1.7", "C", "A binary frame closes with 1003", "a_binary_message_closes_with_1003"),
    _row("4.1.1.8", "C", "Ten minutes of silence end a connection", "silence_ends_a_connection_with_1001", differs="Checked with shortened limits; the defaults are in the unit tests."),
    _row("4.1.1.9", "C", "Two hours end a connection", "data_keeps_a_connection_to_the_end_of_its_life", differs="Checked with shortened limits; the defaults are in the unit tests."),
    _row("4.1.1.10", "R", "The client of an idle connection reads 1001 `Going away`", "silence_ends_a_connection_with_1001"),
    _row("4.1.1.11", "C", "And so does `$disconnect`", "silence_ends_a_connection_with_1001"),
    _row("4.1.1.12", "C", "Idle connections are ended a few seconds late", choice="idle_late_by", units="test_gateway.py::test_an_idle_connection_ends_late_where_that_is_chosen", differs="Ended on time unless the choice says otherwise: nobody's tests should wait for lateness."),
    _row("4.1.1.13", "R", "After two hours it is 1001 `Going away` as well", "data_keeps_a_connection_to_the_end_of_its_life"),
    _row("4.1.1.14", "G", "After a DELETE the client reads 1000; `$disconnect` has `Connection Closed Normally` (C)", "a_delete_closes_the_clients_socket_with_1000", choice="deleted_code"),
    _row("4.1.1.15", "R", "Nobody can choose the close code", "nobody_can_choose_the_close_code"),
    _row("4.1.1.16", "G", "Unmasked frames and bad opcodes close with 1002, bad UTF-8 with 1007", "a_wrong_frame_closes_with_its_code a_message_before_a_faulty_frame_is_handled_all_the_same"),
    # 4.2 control frames and compression
    _row("4.2.1.1", "R", "A ping is answered with a pong; G: with its payload", "a_ping_is_answered_with_its_payload_and_no_function_hears_of_it"),
    _row("4.2.1.2", "R", "Control frames never reach a function", "a_ping_is_answered_with_its_payload_and_no_function_hears_of_it an_unasked_pong_is_ignored"),
    _row("4.2.1.3", "R", "The gateway sends no pings", "pings_do_not_keep_a_connection_and_the_gateway_sends_none"),
    _row("4.2.1.4", "R", "Data in either direction keeps a connection; reports about pings contradict each other", "pings_do_not_keep_a_connection_and_the_gateway_sends_none data_keeps_a_connection_to_the_end_of_its_life", choice="ping_resets_idle"),
    _row("4.2.1.5", "R", "permessage-deflate is agreed to with `server_max_window_bits=12`", "compression_is_agreed_to_in_the_gateways_words compressed_messages_travel_both_ways without_an_offer_nothing_is_compressed", choice="compression"),
    _row("4.2.1.6", "R", "With a restricted client window decoding breaks", "a_client_with_a_small_window_is_understood", differs="A fault of AWS's, reported in 2021, that nobody's tests should need: such clients are understood here. It shows only there."),
    _row("4.2.1.7", "G", "The frame limit counts bytes on the wire, the message limit what is inflated", "the_frame_limit_counts_the_wire_and_the_message_limit_what_is_inflated"),
    # 4.3 integration result to client
    _row("4.3.1.1", "C", "A one-way route sends nothing, a two-way route its body whatever the status", "a_two_way_route_sends_the_body_whatever_the_status a_one_way_route_sends_nothing"),
    _row("4.3.1.2", "G", "A function that returns nothing: conflicting reports", "a_one_way_route_sends_nothing a_two_way_route_without_a_body_sends_nothing", choice="null_is_an_error"),
    _row("4.3.1.3", "R", "A function that raises, ends or exceeds its own limit is an error frame", "a_raising_function_is_an_error_frame_and_the_connection_stays a_function_that_ends_or_takes_too_long_by_its_own_limit_is_an_error_frame"),
    _row("4.3.1.4", "R", "So is an answer with unknown members, on one-way routes too", _MALFORMED),
    _row("4.3.1.5", "C", "The members of a proxy answer", "the_members_of_a_proxy_answer_are_taken"),
    _row("4.3.1.6", "R", "An integration that takes too long is an error frame, and the function runs on", "an_integration_that_takes_too_long_is_given_up_and_the_function_runs_on"),
    _row("4.3.1.7", "C", "A throttled message is an error frame; G: its text", "a_throttled_route_answers_with_a_frame", choice="throttled_message"),
    _row("4.3.1.8", "G", "Exhausted concurrency is an error frame", choice="exhausted_is_an_error", units="test_sockets.py::test_an_exhausted_function_is_told_to_the_client test_functions.py::test_more_events_than_processes_are_refused_where_that_is_chosen", differs="An event waits for a process unless the choice says otherwise, as the laptop's few would be exhausted at once; a late answer is `Endpoint request timed out`."),
    _row("4.3.1.9", "C", "What `$disconnect` returns is ignored", _LEFT),
    _row("4.3.1.10", "C", "A failed message is not tried again", "a_failed_message_is_not_tried_again"),
    _row("4.3.1.11", "C", "A route response makes a route two-way", "a_mock_answers_from_its_template a_two_way_route_sends_the_body_whatever_the_status", differs="Either the RouteResponse or the route's RouteResponseSelectionExpression does it here; AWS's own sample has only the first."),
    _row("4.3.1.12", "R", "After an error the connection stays", f"a_raising_function_is_an_error_frame_and_the_connection_stays {_MALFORMED}"),
    # 4.4 order
    _row("4.4.1.1", "C", "Invocations of one connection overlap, and answers may overtake each other", "messages_of_one_connection_overlap_and_answers_overtake"),
    _row("4.4.1.2", "G", "Posts of one caller, one after the other, arrive in order", "posts_of_one_caller_arrive_in_order"),
    # 5 management API
    _row("5.1.1.1", "C", "The endpoint ends in the stage; behind a custom domain it does not", _CALLS, differs="A call without a stage is served if its connection is there, as behind a custom domain, and the log says once that this is no address on AWS."),
    _row("5.1.1.2", "C", "POST, GET and DELETE", _CALLS),
    _row("5.1.1.3", "C", "They answer 200, 200 and 204", _CALLS),
    _row("5.1.1.4", "C", "POST and DELETE have no body, GET has JSON", _CALLS),
    _row("5.1.1.5", "C", "`@` and `=` may be encoded or not", "the_path_may_be_raw_or_encoded"),
    _row("5.1.1.6", "C", "Signed for execute-api in the API's region", "a_call_signed_with_another_secret_is_refused the_sdk_posts_looks_and_closes"),
    _row("5.1.1.7", "C", "A post's body is the message, raw", "a_post_is_one_text_frame_as_it_was_sent an_offer_of_http_2_changes_nothing"),
    _row("5.1.1.8", "C", "It has at most 131,072 bytes", "a_post_of_128_kb_is_taken_and_one_byte_more_is_413"),
    _row("5.1.1.9", "R", "It arrives as a text frame; G: if it is no UTF-8", "a_post_is_one_text_frame_as_it_was_sent a_post_that_is_no_utf_8_arrives_as_text_all_the_same", choice="mend_text"),
    _row("5.1.1.10", "C", "GET's members, their names and the form of instants; G: their order, and `userAgent` without one", "a_look_has_its_members_in_their_order"),
    _row("5.1.1.11", "G", "`lastActiveAt` moves with what the client sends; whether posts move it is unknown", "a_message_moves_last_active_at", choice="post_moves_last_active"),
    _row("5.1.1.12", "C", "Gone is 410 with an error type and an empty body", f"{_GONE} the_sdk_knows_a_gone_connection"),
    _row("5.1.1.13", "C", "Gone is what is unknown, closed, or still in `$connect`", f"{_GONE} a_connection_is_gone_while_its_connect_function_runs"),
    _row("5.1.1.14", "R", "A malformed id is 400 `Invalid connectionId: …`", "a_malformed_id_is_a_bad_request"),
    _row("5.1.1.15", "R", "Without or with the wrong stage it is 403 Forbidden", "a_call_of_another_stage_is_forbidden", differs="See 5.1.1.1 for a call without a stage whose connection is there."),
    _row("5.1.1.16", "R", "Unsigned it is 403 `Missing Authentication Token`", "an_unsigned_call_is_refused"),
    _row("5.1.1.17", "R", "IAM's refusal names the caller, the action and the route", "a_function_without_the_permission_is_told_the_route_that_it_may_not_call"),
    _row("5.1.1.18", "R", "A custom domain with the stage appended is `No method found …`", units="test_endpoints.py::test_a_stage_in_the_path_of_an_own_domain_has_no_route test_stages.py::test_a_stage_behind_an_own_domain_has_no_route"),
    _row("5.1.1.19", "C", "Too large is 413 with a message", "a_post_of_128_kb_is_taken_and_one_byte_more_is_413", differs="The text of the message is a guess."),
    _row("5.1.1.20", "C", "Too many calls, or a client that does not read, is 429", "a_post_to_a_client_that_does_not_read_becomes_429", differs="How much may wait for a client is `--limit backlog`: AWS does not say."),
    _row("5.1.1.21", "C", "The action and the ARNs of IAM", "a_connection_is_gone_while_its_connect_function_runs a_function_without_the_permission_is_told_the_route_that_it_may_not_call"),
    _row("5.1.1.22", "C", "DELETE ends the connection: `$disconnect` has 1000 `Connection Closed Normally`", "a_delete_closes_the_clients_socket_with_1000"),
    _row("5.1.1.23", "R", "A post to a peer that is half gone answers 200", "a_post_to_a_client_that_is_silent_is_200", differs="The loopback tells at once that a client is gone."),
    _row("5.1.1.24", "R", "Calls through CloudFront fail", differs="No CloudFront stands in front of the emulator."),
    _row("5.1.1.25", "R", "Calls from a VPC without a route hang", differs="There are no networks here."),
    _row("5.1.1.26", "R", "Every post is billed as a message", differs=_UNSEEN),
    # 6 $disconnect
    _row("6.1.1.1", "C", "A browser that leaves: 1001 with an empty reason", _LEFT),
    _row("6.1.1.2", "C", "A close frame without a status: 1005 and the gateway's own words", _LEFT),
    _row("6.1.1.3", "G", "A client's own code and reason", f"{_LEFT} a_close_frame_is_answered_with_its_code a_close_frame_between_fragments_ends_an_unfinished_message"),
    _row("6.1.1.4", "C", "DELETE: 1000 `Connection Closed Normally`", "a_delete_closes_the_clients_socket_with_1000"),
    _row("6.1.1.5", "C", "Idle: 1001 `Going away`", "silence_ends_a_connection_with_1001"),
    _row("6.1.1.6", "G", "Two hours: 1001 `Going away`", "data_keeps_a_connection_to_the_end_of_its_life"),
    _row("6.1.1.7", "G", "A lost client: 1006, or nothing until something notices", "a_client_that_vanishes_is_1006", choice="lost_late_by", differs="Here the loopback notices at once; on AWS it may take until the idle limit."),
    _row("6.1.1.8", "G", "An oversized frame or message: 1009", "a_client_that_was_hung_up_on_is_told_of_with_that_code"),
    _row("6.1.1.9", "G", "A binary frame: 1003", "a_client_that_was_hung_up_on_is_told_of_with_that_code"),
    _row("6.2.1.1", "C", "Delivery is best effort", choice="disconnect_lost", units="test_gateway.py::test_disconnect_may_be_lost test_gateway.py::test_disconnect_may_be_late", differs="Unless the choices say otherwise every ended connection gets its event, exactly once and at once: tests that miss one by chance help nobody."),
    _row("6.2.1.2", "C", "Nobody sees the function's answer, and a post to the id is 410", "a_post_to_an_ended_connection_is_gone"),
    _row("6.2.1.3", "C", "No body, no query, no message id; identity and authorizer are remembered", f"the_event_has_no_body_no_query_and_no_message_id {_SHOWN}"),
    _row("6.2.1.4", "R", "It may run before a slow handler of the same connection has ended", "the_event_does_not_wait_for_a_slow_message"),
    _row("6.2.1.5", "G", "Refused handshakes have none", "a_refused_handshake_has_no_disconnect", choice="refused_is_told"),
    _row("6.2.1.6", "G", "It can be lost under throttling", differs="It is not throttled here, for the reason at 6.2.1.1."),
)
