"""Paging and searching as the Admin API does it, and what a query costs.

Sources: shopify.dev/docs/api/usage/search-syntax, shopify.dev/docs/api/usage/pagination-graphql,
shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
)

from app.simulators.shopify_state import JSON

MOST = 250  #: of anything on one page
TERM = re.compile(r"""\s*(?:AND\s+)?(\w+):\s*(>=|<=|>|<)?\s*(?:'([^']*)'|"([^"]*)"|(\S+))""")
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": lambda a, b: bool(a >= b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    "<": lambda a, b: bool(a < b),
    "": lambda a, b: bool(a == b),
}
MOMENTS = {"updated_at": "updatedAt", "created_at": "createdAt", "processed_at": "processedAt"}
TEXTS = {"financial_status": "displayFinancialStatus", "name": "name", "id": "legacyResourceId", "test": "test"}


class UnreadableSearch(ValueError):
    """A term that Shopify would pass over, with a warning that nobody reads."""


def bad_request(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "BAD_REQUEST"})


def matches(query: str | None) -> Callable[[JSON], bool]:
    """A test for orders in their GraphQL form.

    Raises:
        UnreadableSearch: a field, time or form that is not known.
    """
    tests: list[Callable[[JSON], bool]] = []
    rest = (query or "").strip()
    while rest:
        found = TERM.match(rest)
        if not found:
            raise UnreadableSearch(f"search term cannot be read: {rest}")
        name, operator, *values = found.groups()
        tests.append(_test(name, operator or "", next(value for value in values if value is not None)))
        rest = rest[found.end() :].strip()
    return lambda order: all(test(order) for test in tests)


def _test(name: str, operator: str, value: str) -> Callable[[JSON], bool]:
    compare = OPERATORS[operator]
    if name in MOMENTS:
        wanted, key = _moment(value), MOMENTS[name]
        return lambda order: compare(_moment(order[key]), wanted)
    if name in TEXTS:
        return lambda order: compare(str(order[TEXTS[name]]).lower(), value.lower())
    raise UnreadableSearch(f"search field is not known: {name}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableSearch(f"search time cannot be read: {text}") from error
    if moment.tzinfo is None:
        raise UnreadableSearch(f"search time has no zone, so it is the shop's own: {text}")
    return moment.astimezone(UTC)


# Pages


def page(rows: Sequence[JSON], keys: Sequence[Any], arguments: Mapping[str, Any]) -> JSON:
    """A page of ``rows``, which are sorted by ``keys``.

    A cursor holds the key of its row, not its place: a row whose key grows while somebody pages moves to the end, and
    is met again there, as in the real API.
    """
    size, after = arguments.get("first"), arguments.get("after")
    if arguments.get("last") is not None or arguments.get("before") is not None:
        raise bad_request("this simulator pages forward only")
    if size is None:
        raise bad_request("you must provide one of first or last")
    if not 0 < size <= MOST:
        raise bad_request(f"first cannot exceed {MOST}")
    listed = sorted(zip(keys, rows, strict=True), key=lambda each: each[0], reverse=bool(arguments.get("reverse")))
    if after is not None:
        passed = _read_cursor(after)
        beyond = OPERATORS["<" if arguments.get("reverse") else ">"]
        listed = [each for each in listed if beyond(each[0], passed)]
    shown = listed[:size]
    edges = [{"cursor": _cursor(key), "node": row} for key, row in shown]
    return {
        "edges": edges,
        "nodes": [row for _, row in shown],
        "pageInfo": {
            "hasNextPage": len(listed) > size,
            "hasPreviousPage": after is not None,
            "startCursor": edges[0]["cursor"] if edges else None,
            "endCursor": edges[-1]["cursor"] if edges else None,
        },
    }


def _cursor(key: Any) -> str:
    return base64.b64encode(json.dumps(key).encode()).decode()


def _read_cursor(text: str) -> Any:
    try:
        return json.loads(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise bad_request("Invalid cursor for current pagination sort.") from error


# Cost


class Cost:
    """What a query may cost at most: an object 1, a connection 2 and the cost of each node that it may hold, a mutation
    10, of the members of an interface or union the dearest."""

    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self.schema = schema
        self.fragments = fragments
        self.variables = variables

    def of(self, operation: OperationDefinitionNode) -> int:
        root = self.schema.get_root_type(operation.operation)
        if root is None:
            return 0
        extra = 10 * len(operation.selection_set.selections) if operation.operation.value == "mutation" else 0
        return self.selections(operation.selection_set, root) + extra

    def selections(self, chosen: SelectionSetNode | None, parent: GraphQLCompositeType) -> int:
        common, branches = 0, [0]
        for each in chosen.selections if chosen else ():
            if isinstance(each, FieldNode):
                common += self.field(each, parent)
            elif isinstance(each, InlineFragmentNode):
                name = each.type_condition.name.value if each.type_condition else parent.name
                branches.append(self._fragment(each.selection_set, name))
            elif isinstance(each, FragmentSpreadNode):
                fragment = self.fragments[each.name.value]
                branches.append(self._fragment(fragment.selection_set, fragment.type_condition.name.value))
        if isinstance(parent, GraphQLObjectType):
            return common + sum(branches)
        return common + max(branches)

    def _fragment(self, chosen: SelectionSetNode, name: str) -> int:
        found = self.schema.get_type(name)
        return self.selections(chosen, found) if is_composite_type(found) else 0

    def field(self, node: FieldNode, parent: GraphQLCompositeType) -> int:
        definition = self.schema.get_field(parent, node.name.value)
        if definition is None:
            return 0
        kind = get_named_type(definition.type)
        if not is_composite_type(kind):
            return 0
        inner = self.selections(node.selection_set, kind)
        if kind.name.endswith("Connection"):
            return 2 + self._size(node) * inner
        return inner if kind.name.endswith("Edge") or kind.name == "PageInfo" else 1 + inner

    def _size(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                value = argument.value
                if isinstance(value, VariableNode):
                    return int(self.variables.get(value.name.value) or 0)
                return int(value.value) if isinstance(value, IntValueNode) else 0
        return 0
