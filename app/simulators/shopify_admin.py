"""The simulated Admin API: ``POST /admin/api/{version}/graphql.json``, its refusals, costs and throttling.

Sources: shopify.dev/docs/api/admin-graphql, shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits. Not published,
so assumed: a full bucket lasts twenty seconds. graphql-core, a library for development, is needed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
    get_operation_ast,
    parse,
    validate,
)
from werkzeug import Request, Response

from app.simulators.shopify_graphql import Resolution
from app.simulators.shopify_schema import sdl
from app.simulators.shopify_search import Cost
from app.simulators.shopify_state import JSON, Shop, State, served_version
from app.simulators.shopify_subscriptions import Subscriptions

#: points a second by plan, and seconds that a full bucket lasts
RATES = {"basic": 100.0, "grow": 100.0, "advanced": 200.0, "plus": 1000.0}
DEPTH = 20.0
DEAREST = 1000  #: points that a single query may cost


@cache
def schema_of(version: str) -> GraphQLSchema:
    return build_schema(sdl(version))


def json_response(document: JSON, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(document), status, headers, content_type="application/json; charset=utf-8")


class Admin:
    """Answers Admin API calls of all shops."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.subscriptions = Subscriptions(state)

    def serve(self, request: Request, shop: Shop, version: str | None) -> Response:
        """Answer a call; ``version`` is None where the address names none."""
        served = served_version(version or "")
        if served != version:
            said = f"API version {version} is not supported" if version else "the address names no API version"
            self.state.breach(said, shop=shop.domain, path=request.path)
        with self.state.lock:
            response = self._refusal(request, shop) or self._answer(request, shop, served)
        response.headers["X-Shopify-API-Version"] = served
        return response

    def rest(self, request: Request, shop: Shop) -> Response:
        """A public app of this day has no REST Admin API."""
        self.state.breach("the REST Admin API was called", shop=shop.domain, path=request.path)
        return json_response({"errors": "[API] This app is not allowed to use the REST Admin API"}, 403)

    def _refusal(self, request: Request, shop: Shop) -> Response | None:
        if request.method != "POST":
            return Response(status=405)
        text = request.headers.get("X-Shopify-Access-Token", "")
        token = self.state.access.get(text)
        if token is None or not self.state.living(token, shop):
            self.state.refused_token(text, shop.domain, request.path, "a dead access token")
            said = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return json_response({"errors": said}, 401)
        if token.expires_at is None:
            said = "[API] Non-expiring access tokens are no longer accepted for the Admin API"
            return json_response({"errors": said}, 403)
        if not self.state.allowlist:
            return json_response({"errors": "[API] Requests from this IP address are not allowed"}, 403)
        if request.mimetype not in ("application/json", "application/graphql"):
            return json_response({"errors": "[API] Content-Type must be application/json"}, 415)
        return None

    def _answer(self, request: Request, shop: Shop, version: str) -> Response:
        try:
            asked = json.loads(request.get_data())
            query, variables = asked["query"], asked.get("variables") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            return json_response({"errors": {"query": "Required parameter missing or invalid"}}, 400)
        try:
            document = parse(query)
        except (GraphQLError, TypeError) as error:
            return self._refused(request, shop, [_reworded(error)])
        schema = schema_of(version)
        faults = validate(schema, document)
        operation = get_operation_ast(document, asked.get("operationName"))
        if faults or operation is None:
            return self._refused(request, shop, [_reworded(each) for each in faults])
        return self._metered(request, shop, version, document, operation, variables)

    def _refused(self, request: Request, shop: Shop, errors: list[JSON]) -> Response:
        for error in errors or [{"message": "the query has no such operation"}]:
            self.state.breach(f"GraphQL: {error['message']}", shop=shop.domain, path=request.path)
        return json_response({"errors": errors})

    def _metered(
        self,
        request: Request,
        shop: Shop,
        version: str,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: JSON,
    ) -> Response:
        """Run the query, where the shop's bucket has points enough for the most that it may cost."""
        schema = schema_of(version)
        fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
        most = Cost(schema, fragments, variables).of(operation)
        if most > DEAREST:
            return self._too_dear(request, shop, most)
        rate = RATES[shop.plan]
        now = self.state.clock()
        shop.available = min(rate * DEPTH, shop.available + (now - shop.measured) * rate)
        shop.measured = now
        if most > shop.available:
            return json_response(_throttled() | _cost(shop, most, None))
        resolution = Resolution(self.state, self.subscriptions, schema, shop, version, request.path)
        done = resolution.run(document, operation, variables)
        extra = 10 if operation.operation.value == "mutation" else 0
        spent = min(most, _objects(list((done.data or {}).values())) + extra)
        shop.available -= spent
        return json_response(done.formatted | _cost(shop, most, spent))

    def _too_dear(self, request: Request, shop: Shop, most: int) -> Response:
        said = f"Query cost is {most}, which exceeds the single query max cost limit ({DEAREST})."
        self.state.breach(f"GraphQL: {said}", shop=shop.domain, path=request.path)
        more = {"code": "MAX_COST_EXCEEDED", "cost": most, "maxCost": DEAREST}
        return json_response({"errors": [{"message": said, "extensions": more}]})


def _reworded(error: Exception) -> JSON:
    """graphql-core's complaint; the commonest in Shopify's words."""
    given: JSON = {**error.formatted} if isinstance(error, GraphQLError) else {"message": str(error)}
    found = re.match(r"Cannot query field '(\w+)' on type '(\w+)'", given["message"])
    if found:
        field, kind = found.groups()
        given["message"] = f"Field '{field}' doesn't exist on type '{kind}'"
        given["extensions"] = {"code": "undefinedField", "typeName": kind, "fieldName": field}
    return given


def _objects(data: Any) -> int:
    """How many objects stand in an answer; pages and their edges count for nothing."""
    if isinstance(data, list):
        return sum(_objects(each) for each in data)
    if not isinstance(data, dict):
        return 0
    own = 0 if "hasNextPage" in data or "node" in data or "edges" in data or "nodes" in data else 1
    return own + sum(_objects(each) for each in data.values())


def _throttled() -> JSON:
    more = {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"}
    return {"errors": [{"message": "Throttled", "extensions": more}]}


def _cost(shop: Shop, most: int, spent: int | None) -> JSON:
    rate = RATES[shop.plan]
    status = {
        "maximumAvailable": rate * DEPTH,
        "currentlyAvailable": int(shop.available),
        "restoreRate": rate,
    }
    cost = {"requestedQueryCost": most, "actualQueryCost": spent, "throttleStatus": status}
    return {"extensions": {"cost": cost}}
