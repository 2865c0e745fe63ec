"""moto's server, with two of its simplifications put right.

One request at a time: moto undoes a transaction by putting back a copy of all tables, which also undoes, or keeps, what
other requests did meanwhile. (Its own lock does not cover that.)

Permissions of DynamoDB as AWS grants them: on the table that a call names, and for a transaction those of its parts.
moto asks for an action 'dynamodb:TransactWriteItems' on the resource '*', neither of which exists in AWS. Refusals come
with the names that DynamoDB gives them.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""

import json
import sys
import threading

import moto.server
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.exceptions import (
    AccessDeniedError,
    InvalidClientTokenIdError,
    JsonRESTError,
    SignatureDoesNotMatchError,
)

CORAL = "com.amazon.coral.service#"
PARTS = {"Put": "PutItem", "Delete": "DeleteItem", "Update": "UpdateItem", "ConditionCheck": "ConditionCheckItem"}


class OneAtATime(moto.server.DomainDispatcherApplication):
    turn = threading.Lock()

    def __call__(self, environ, start_response):
        with self.turn:
            return list(super().__call__(environ, start_response))


def needed(operation, body):
    """Pairs of action and table."""
    if operation != "TransactWriteItems":
        return [(operation, body.get("TableName", "*"))]
    return [(PARTS[kind], part["TableName"]) for item in body["TransactItems"] for kind, part in item.items()]


def authorize(self, request_class, resource="*"):
    target = self.headers.get("X-Amz-Target", "")
    checking = ActionAuthenticatorMixin.request_count >= settings.INITIAL_NO_AUTH_ACTION_COUNT
    if not checking or not target.startswith("DynamoDB_"):
        return as_moto_does(self, request_class, resource)
    operation = target.split(".")[1]
    request = signed_request(self, request_class, operation)
    for action, table in needed(operation, json.loads(self.raw_body)):
        request._action = f"dynamodb:{action}"
        arn = f"arn:aws:dynamodb:{self.region}:{self.current_account}:table/{table}"
        try:
            request.check_action_permitted(arn)
        except AccessDeniedError as error:
            message = f"{error.message} on resource: {arn} because no identity-based policy allows the dynamodb:{action} action"
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
moto.server.main(sys.argv[1:])
