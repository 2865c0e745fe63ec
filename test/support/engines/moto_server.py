"""moto's server, with two of its simplifications put right.

One request at a time: moto undoes a transaction by putting back a copy of all tables, which also undoes, or keeps, what
other requests did meanwhile. (Its own lock does not cover that.) Two receives at once may get one message both. A long
poll lets others pass while it waits.

Permissions of DynamoDB as AWS grants them: on the table that a call names, and for a transaction those of its parts. Those
of SQS likewise: on the queue that a call names, and for a batch the one of its single operation.
moto asks for an action 'dynamodb:TransactWriteItems' on the resource '*', neither of which exists in AWS. Refusals come
with the names that DynamoDB gives them.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""

import json
import sys
import threading
import time

import moto.server
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import (
    AccessDeniedError,
    InvalidClientTokenIdError,
    JsonRESTError,
    SignatureDoesNotMatchError,
)
from moto.sqs.models import Queue

CORAL = "com.amazon.coral.service#"
PARTS = {"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem"}


class OneAtATime(moto.server.DomainDispatcherApplication):
    turn = threading.Lock()

    def __call__(self, environ, start_response):
        with self.turn:
            return list(super().__call__(environ, start_response))


def wait_for_messages(self, timeout):
    OneAtATime.turn.release()
    time.sleep(0.02)
    OneAtATime.turn.acquire()


def needed(operation, body):
    """Pairs of action and table."""
    if operation != "TransactWriteItems":
        return [(operation, body.get("TableName", "*"))]
    return [(PARTS[kind], part["TableName"]) for item in body["TransactItems"] for kind, part in item.items()]


def authorize(self, request_class, resource="*"):
    target = self.headers.get("X-Amz-Target", "")
    checking = ActionAuthenticatorMixin.request_count >= settings.INITIAL_NO_AUTH_ACTION_COUNT
    if not checking or not target.startswith(("DynamoDB_", "AmazonSQS.")):
        return as_moto_does(self, request_class, resource)
    operation = target.split(".")[1]
    request = signed_request(self, request_class, operation)
    body = json.loads(self.raw_body)
    if target.startswith("AmazonSQS."):
        queue = body.get("QueueName") or body["QueueUrl"].split("/")[-1]
        wanted = [(f"sqs:{operation.removesuffix('Batch')}", "sqs", queue)]
    else:
        wanted = [(f"dynamodb:{action}", "dynamodb", f"table/{table}") for action, table in needed(operation, body)]
    for action, service, name in wanted:
        request._action = action
        arn = f"arn:aws:{service}:{self.region}:{self.current_account}:{name}"
        try:
            request.check_action_permitted(arn)
        except AccessDeniedError as error:
            message = f"{error.message} on resource: {arn} because no identity-based policy allows the {action} action"
            raise JsonRESTError(CORAL + "AccessDeniedException", message) from error


def signed_request(self, request_class, operation):
    try:
        request = request_class(
            account_id=self.current_account,
            method=self.method,
            path=self.raw_path,
            data=self.data,
            body=self.raw_body,
            headers=self.headers,
            action=operation,
        )
        request.check_signature()
        return request
    except InvalidClientTokenIdError as error:
        raise JsonRESTError(CORAL + "UnrecognizedClientException", error.message) from error
    except SignatureDoesNotMatchError as error:
        raise JsonRESTError(CORAL + "InvalidSignatureException", error.message) from error


as_moto_does = ActionAuthenticatorMixin._authenticate_and_authorize_action
ActionAuthenticatorMixin._authenticate_and_authorize_action = authorize
moto.server.DomainDispatcherApplication = OneAtATime
Queue.wait_for_messages = wait_for_messages
moto.server.main(sys.argv[1:])
