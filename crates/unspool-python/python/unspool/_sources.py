"""The four sources, as they are asked for.

A source is described as plain data here, and opened from that, in this process or in another one.
Strings are taken as they are; a `Secret` names what it stands for, and is looked up where the source
is opened.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload
from urllib.parse import urlencode, urlsplit, urlunsplit

from ._items import Answer, Description, Doubts, Form, Items, opened

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Secret(str):
    """A text in which `${NAME}` stands for a variable of the environment, or `@FILE` for what is in
    a file.

    It is looked up when the source is opened, on the machine where that happens, so that a source
    can be sent to another one without its credentials. In a `Secret`, `$${` is a `${`. Only this
    class does so: a plain string is taken as it is, whatever it holds.
    """

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"


#: Parameters of a URL's query: a mapping, whose values may be sequences, or pairs.
Params = Mapping[str, Any] | Iterable[tuple[str, Any]]


class HttpOptions(TypedDict, total=False):
    """How requests are sent. Credentials go to the origin of the URL only."""

    #: Headers by their names.
    headers: Mapping[str, str] | None
    #: User and password (RFC 7617).
    auth: tuple[str, str] | None
    #: A token (RFC 6750), for `Authorization: Bearer`.
    bearer: str | None
    #: Keys in headers, by the names of those.
    api_key: Mapping[str, str] | None
    #: Keys in the query, by the names of their parameters.
    api_key_query: Mapping[str, str] | None
    #: Cookies by their names.
    cookies: Mapping[str, str] | None
    #: URLs with other names of the same server, which gets all these under them, too.
    also_origins: Sequence[str] | None
    #: A client of an authorization server: `token_url`, `client_id`, `client_secret`.
    oauth2: Mapping[str, Any] | None
    #: The highest rate of requests, such as `10/s` or `600/m`.
    rate: str | None
    #: How often a failed request is repeated; 5 by default.
    retries: int | None
    #: The longest silence of the upstream, in seconds.
    timeout: float | None


class PagesOptions(HttpOptions, total=False):
    """What `pages` takes beside the URL."""

    params: Params | None
    json: Any
    paginate: str | None
    items_at: str | None
    items_of_object: str | None
    in_flight: int | None
    unique: str | None
    max_item: int | None
    doubts: Doubts
    position: Mapping[str, Any] | None


@overload
def pages(
    url: str, *, items: Literal["dict"] = "dict", **options: Unpack[PagesOptions]
) -> Items[Any]: ...
@overload
def pages(url: str, *, items: Literal["bytes"], **options: Unpack[PagesOptions]) -> Items[bytes]: ...
@overload
def pages(url: str, *, items: Literal["str"], **options: Unpack[PagesOptions]) -> Items[str]: ...
def pages(
    url: str,
    *,
    items: Form = "dict",
    params: Params | None = None,
    json: Any = None,
    paginate: str | None = None,
    items_at: str | None = None,
    items_of_object: str | None = None,
    in_flight: int | None = None,
    unique: str | None = None,
    max_item: int | None = None,
    doubts: Doubts = "raise",
    position: Mapping[str, Any] | None = None,
    **http: Unpack[HttpOptions],
) -> Items[Any]:
    """The items of a paginated HTTP API, page after page.

    >>> token = unspool.Secret("${API_TOKEN}")
    >>> async for post in unspool.pages("https://api.example.com/posts", bearer=token):
    ...     print(post["title"])

    :param url: where the first page is.
    :param items: what an item becomes: its value (`"dict"`), its JSON text as `"bytes"` or `"str"`.
    :param params: parameters after those of the URL.
    :param json: a JSON document to send, which makes the requests `POST`s.
    :param paginate: how to get from page to page, such as `page`, `link` or `cursor:/next`; by
        default the first page decides, and the second proves it.
    :param items_at: the JSON pointer of the array of items in a page; by default it is found.
    :param items_of_object: the items are the members of an object; each gets its key as a member
        of this name.
    :param in_flight: how many pages are read at a time; 1 by default. The order stays.
    :param unique: the JSON pointer of a key; items whose key has come before are left out.
    :param max_item: the largest item in bytes; 16 MiB by default.
    :param doubts: `"allow"` ends without `DoubtError` where something speaks against the walk
        being complete.
    :param position: `Items.position` of an earlier walk with the same request, to resume after it.

    Besides it takes what `HttpOptions` has: `headers`, `auth`, `bearer`, `api_key`,
    `api_key_query`, `cookies`, `also_origins`, `oauth2`, `rate`, `retries`, `timeout` (seconds).

    :raises RequestError: an argument is wrong; at once.
    """
    description = _given(
        source="pages",
        url=_query(_named(url), params),
        paginate=paginate,
        items=items_at,
        items_of_object=items_of_object,
        data=json,
        in_flight=in_flight,
        unique=unique,
        max_item=max_item,
        http=_http(**http),
    )
    return _items(description, items, doubts, position)


#: A file that goes with a question: its path, or a name and its content.
Attachment = str | os.PathLike[str] | tuple[str, bytes]


class AskOptions(TypedDict, total=False):
    """What `ask` takes beside the prompt."""

    messages: Sequence[Mapping[str, Any]] | None
    system: str | None
    tools: Sequence[Mapping[str, Any]] | None
    provider: str | None
    model: str | None
    base_url: str | None
    api_key: str | None
    max_tokens: int | None
    temperature: float | None
    stop: str | Sequence[str] | None
    stop_at: str | None
    schema: Any
    attachments: Sequence[Attachment] | None
    extra_body: Mapping[str, Any] | None
    headers: Mapping[str, str] | None
    rate: str | None
    retries: int | None
    first_byte: float | None
    timeout: float | None


class AskEachOptions(AskOptions, total=False):
    """What `ask_each` takes beside the file and the template."""

    in_flight: int | None
    failed: str | os.PathLike[str] | None
    again: bool
    give_up_after: int | None
    price: str | None
    max_cost: float | None
    max_tokens_total: int | None
    position: Mapping[str, Any] | None
    doubts: Doubts


@overload
def ask(
    prompt: str | None = None,
    *,
    items: Literal["str"] = "str",
    doubts: Doubts = "raise",
    **options: Unpack[AskOptions],
) -> Answer: ...
@overload
def ask(
    prompt: str | None = None,
    *,
    items: Literal["dict"],
    items_at: str | None = None,
    doubts: Doubts = "raise",
    **options: Unpack[AskOptions],
) -> Items[Any]: ...
@overload
def ask(
    prompt: str | None = None,
    *,
    items: Literal["bytes"],
    items_at: str | None = None,
    doubts: Doubts = "raise",
    **options: Unpack[AskOptions],
) -> Items[bytes]: ...
def ask(
    prompt: str | None = None,
    *,
    items: Form = "str",
    items_at: str | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
    system: str | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    provider: str | None = None,
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stop: str | Sequence[str] | None = None,
    stop_at: str | None = None,
    schema: Any = None,
    attachments: Sequence[Attachment] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    rate: str | None = None,
    retries: int | None = None,
    first_byte: float | None = None,
    timeout: float | None = None,
    doubts: Doubts = "raise",
) -> Items[Any]:
    """The answer of a language model, as it arrives.

    >>> async for text in unspool.ask("Write a poem about loops"):
    ...     print(text, end="", flush=True)

    The environment has the key (`ANTHROPIC_API_KEY`, `OPENAI_API_KEY`, …) unless it is given; the
    first provider whose key is set is asked.

    :param prompt: what to ask, after the `messages` if there are any.
    :param items: `"str"` gives the text; `"dict"` and `"bytes"` give what happens in the answer
        (text, thinking, tool calls, usage) or the elements at `items_at`.
    :param items_at: the JSON pointer of an array in the answer, whose elements are the items, each
        as soon as it is whole.
    :param system: what the model is told before everything else.
    :param base_url: where the protocol is spoken, for a server of your own.
    :param stop: texts that end the answer on the side of the upstream.
    :param stop_at: a regular expression that ends the answer here.
    :param schema: the JSON Schema that the text of the answer has to match, or a class of pydantic's.
        The upstream is asked for that, and the answer is checked: one that does not match ends with
        `DoubtError`.
    :param attachments: images and PDFs that go with the question: paths, or pairs of a name and bytes.
    :param extra_body: further fields of the request's body.
    :param first_byte: how long the first byte may take, in seconds; 120 by default.
    :param timeout: how long the answer may be silent from there on, in seconds; 60 by default.

    :raises RequestError: an argument is wrong; at once.
    """
    description = _asked(
        prompt=prompt,
        items=items_at,
        messages=messages,
        system=system,
        tools=tools,
        provider=provider,
        model=model,
        base_url=base_url,
        api_key=api_key,
        max_tokens=max_tokens,
        temperature=temperature,
        stop=stop,
        stop_at=stop_at,
        schema=schema,
        attachments=attachments,
        extra_body=extra_body,
        headers=headers,
        rate=rate,
        retries=retries,
        first_byte=first_byte,
        timeout=timeout,
    )
    if items == "str" and items_at is None:
        answer: Items[Any] = opened(Answer, description, items, doubts)
        return answer
    return _items(description, items, doubts, None)


@overload
def ask_each(
    file: str | os.PathLike[str],
    template: str,
    *,
    items: Literal["dict"] = "dict",
    **options: Unpack[AskEachOptions],
) -> Items[Any]: ...
@overload
def ask_each(
    file: str | os.PathLike[str],
    template: str,
    *,
    items: Literal["bytes"],
    **options: Unpack[AskEachOptions],
) -> Items[bytes]: ...
@overload
def ask_each(
    file: str | os.PathLike[str],
    template: str,
    *,
    items: Literal["str"],
    **options: Unpack[AskEachOptions],
) -> Items[str]: ...
def ask_each(
    file: str | os.PathLike[str],
    template: str,
    *,
    items: Form = "dict",
    in_flight: int | None = None,
    failed: str | os.PathLike[str] | None = None,
    again: bool = False,
    give_up_after: int | None = None,
    price: str | None = None,
    max_cost: float | None = None,
    max_tokens_total: int | None = None,
    position: Mapping[str, Any] | None = None,
    doubts: Doubts = "raise",
    **options: Unpack[AskOptions],
) -> Items[Any]:
    """A question for each record of a file, as `unspool ask --each` asks it.

    >>> rows = unspool.ask_each("posts.ndjson", "Classify: {title}", in_flight=8)
    >>> async for row in rows:
    ...     print(row["record"]["id"], row["answer"])

    The items are dicts with `record`, `answer` (the text, or its value where there is a `schema`),
    `error`, `stop` and `usage`, one for each record and in their order.

    :param file: the records, a JSON text a line.
    :param template: the prompt; `{name}` is that member of the record, `{/a/b}` the value at a JSON
        pointer, `{}` the whole record, `{{` and `}}` the braces.
    :param in_flight: how many answers are waited for at a time; 1 by default.
    :param failed: a file for records without a whole answer.
    :param again: the file is one of `failed`, whose records are asked about again.
    :param give_up_after: after how many failures in a row it stops; 10 by default.
    :param price: what a million tokens cost, as `"3/15"`.
    :param max_cost: what all answers together may cost.
    :param max_tokens_total: how many tokens all answers together may take.
    :param position: `Items.position` of an earlier run of the same, to resume after it.

    Besides it takes what `ask` does; see `AskOptions`.

    :raises RequestError: an argument is wrong; at once.
    """
    description = _asked(**options)
    description["each"] = _given(
        file=os.fspath(file),
        template=template,
        in_flight=in_flight,
        failed=None if failed is None else os.fspath(failed),
        again=again or None,
        give_up_after=give_up_after,
        price=price,
        max_cost=max_cost,
        max_tokens_total=max_tokens_total,
    )
    return _items(description, items, doubts, position)


def _asked(
    *,
    prompt: str | None = None,
    items: str | None = None,
    messages: Sequence[Mapping[str, Any]] | None = None,
    system: str | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    provider: str | None = None,
    model: str | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    stop: str | Sequence[str] | None = None,
    stop_at: str | None = None,
    schema: Any = None,
    attachments: Sequence[Attachment] | None = None,
    extra_body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    rate: str | None = None,
    retries: int | None = None,
    first_byte: float | None = None,
    timeout: float | None = None,
) -> Description:
    """What is asked, as plain data."""
    return _given(
        source="ask",
        prompt=prompt,
        messages=messages and [dict(message) for message in messages],
        system=system,
        tools=tools and [dict(tool) for tool in tools],
        provider=provider,
        model=model,
        base_url=base_url,
        api_key=api_key and _named(api_key),
        max_tokens=max_tokens,
        temperature=temperature,
        stop=[stop] if isinstance(stop, str) else stop and list(stop),
        stop_at=stop_at,
        schema=_schema(schema),
        attachments=attachments and [_attached(file) for file in attachments],
        extra=extra_body and dict(extra_body),
        items=items,
        first_byte=first_byte,
        http=_http(headers=headers, rate=rate, retries=retries, timeout=timeout),
    )


def _schema(schema: Any) -> Any:
    """A JSON Schema, which classes of pydantic's have."""
    model_json_schema = getattr(schema, "model_json_schema", None)
    return schema if model_json_schema is None else model_json_schema()


def _attached(file: Attachment) -> Description:
    """A file as plain data."""
    if isinstance(file, tuple):
        name, content = file
    else:
        name, content = os.path.basename(file), Path(file).read_bytes()
    return {"name": name, "data": base64.b64encode(content).decode()}


class EventsOptions(HttpOptions, total=False):
    """What `events` takes beside the URL."""

    params: Params | None
    also: Sequence[str] | None
    transport: str | None
    json: Any
    every: float | None
    cursor: str | None
    id: str | None
    items_at: str | None
    send: str | Sequence[str] | None
    subprotocols: Sequence[str] | None
    position_at: str | None
    resume_as: str | None
    ordered_ids: bool
    once: bool
    until: str | None
    stop_after: float | None
    idle: float | None
    reconnects: int | None
    max_item: int | None
    parse: bool
    meta: bool
    doubts: Doubts
    position: Mapping[str, Any] | None


@overload
def events(
    url: str, *, items: Literal["dict"] = "dict", **options: Unpack[EventsOptions]
) -> Items[Any]: ...
@overload
def events(url: str, *, items: Literal["bytes"], **options: Unpack[EventsOptions]) -> Items[bytes]: ...
@overload
def events(url: str, *, items: Literal["str"], **options: Unpack[EventsOptions]) -> Items[str]: ...
def events(
    url: str,
    *,
    items: Form = "dict",
    params: Params | None = None,
    also: Sequence[str] | None = None,
    transport: str | None = None,
    json: Any = None,
    every: float | None = None,
    cursor: str | None = None,
    id: str | None = None,
    items_at: str | None = None,
    send: str | Sequence[str] | None = None,
    subprotocols: Sequence[str] | None = None,
    position_at: str | None = None,
    resume_as: str | None = None,
    ordered_ids: bool = False,
    once: bool = False,
    until: str | None = None,
    stop_after: float | None = None,
    idle: float | None = None,
    reconnects: int | None = None,
    max_item: int | None = None,
    parse: bool = False,
    meta: bool = False,
    doubts: Doubts = "raise",
    position: Mapping[str, Any] | None = None,
    **http: Unpack[HttpOptions],
) -> Items[Any]:
    """The messages of a live feed: server-sent events, JSON over HTTP, polls, WebSockets.

    >>> async for event in unspool.events("https://example.com/feed"):
    ...     print(event["data"])

    A connection that breaks is made again after the last event; what the server sends again is
    handed out once, and what may be missing is a doubt.

    :param also: further feeds, whose events come between those of this one.
    :param transport: how it is carried; by default address and answer tell.
    :param every: how often the same document is asked for, in seconds.
    :param cursor: the JSON pointer of the cursor in an answer, for long polls.
    :param id: the JSON pointer of the id in an item.
    :param items_at: the JSON pointer of the items in an answer.
    :param send: messages to send first to a WebSocket.
    :param position_at: the JSON pointer of the position in an item; `resume_as` says where it goes
        in a request.
    :param once: the end of the body is the end of the feed.
    :param until: the event that is to be the last.
    :param stop_after: how long to follow the feed, in seconds.
    :param idle: the longest silence of a connection, in seconds.
    :param parse: data that is JSON stands in the items as JSON.
    :param meta: items have the address of the feed and the time.
    :param position: `Items.position` of an earlier run with the same request, to resume after it.

    Besides it takes what `HttpOptions` has, and `items`, `params`, `json` and `doubts` as `pages`.

    :raises RequestError: an argument is wrong; at once.
    """
    description = _given(
        source="events",
        url=_query(_named(url), params),
        transport=transport,
        data=json,
        every=every,
        cursor=cursor,
        id=id,
        items=items_at,
        send=[send] if isinstance(send, str) else send and list(send),
        subprotocols=subprotocols and list(subprotocols),
        position=position_at,
        resume_as=resume_as,
        ordered_ids=ordered_ids or None,
        once=once or None,
        until=until,
        stop_after=stop_after,
        idle=idle,
        reconnects=reconnects,
        max_item=max_item,
        parse=parse or None,
        meta=meta or None,
        http=_http(**http),
    )
    if also:
        description["and"] = [_named(url) for url in also]
    return _items(description, items, doubts, position)


class RowsOptions(TypedDict, total=False):
    """What `rows` takes beside the address and the statement."""

    params: Sequence[Any] | None
    table: str | None
    key: str | Sequence[str] | None
    batch: int | None
    mode: str | None
    write: bool
    retries: int | None
    position: Mapping[str, Any] | None


@overload
def rows(
    dsn: str,
    sql: str | None = None,
    *,
    items: Literal["dict"] = "dict",
    **options: Unpack[RowsOptions],
) -> Items[Any]: ...
@overload
def rows(
    dsn: str, sql: str | None = None, *, items: Literal["bytes"], **options: Unpack[RowsOptions]
) -> Items[bytes]: ...
@overload
def rows(
    dsn: str, sql: str | None = None, *, items: Literal["str"], **options: Unpack[RowsOptions]
) -> Items[str]: ...
def rows(
    dsn: str,
    sql: str | None = None,
    *,
    items: Form = "dict",
    params: Sequence[Any] | None = None,
    table: str | None = None,
    key: str | Sequence[str] | None = None,
    batch: int | None = None,
    mode: str | None = None,
    write: bool = False,
    retries: int | None = None,
    position: Mapping[str, Any] | None = None,
) -> Items[Any]:
    """The rows of a query, as the database gives them.

    >>> for user in unspool.rows("sqlite:users.db", "select id, name from users"):
    ...     print(user["name"])

    :param dsn: where the database is: `sqlite:FILE`, `postgres://…`, `mysql://…`.
    :param sql: the statement; or `table`, for all of its rows.
    :param params: values for the parameters of the statement.
    :param key: the columns that tell rows apart and by which they are ordered: what is needed to
        resume after a row.
    :param batch: how many rows travel together at most.
    :param mode: how the rows are fetched; by default what the statement allows and costs least.
    :param write: whether the statement may change the database.
    :param position: `Items.position` of an earlier run of the same query, to resume after it.

    :raises RequestError: an argument is wrong; at once.
    """
    description = _given(
        source="rows",
        dsn=_named(dsn),
        sql=sql,
        table=table,
        params=params and list(params),
        key=[key] if isinstance(key, str) else key and list(key),
        batch=batch,
        mode=mode,
        write=write or None,
        retries=retries,
    )
    return _items(description, items, "raise", position)


def _items(
    description: Description, items: Form, doubts: Doubts, position: Mapping[str, Any] | None
) -> Items[Any]:
    made: Items[Any] = opened(Items, description, items, doubts, position)
    return made


def _given(**members: Any) -> Description:
    """The members that were given."""
    return {name: value for name, value in members.items() if value is not None}


def _query(url: str, params: Params | None) -> str:
    """The URL with these parameters after its own."""
    if params is None:
        return url
    pairs = params.items() if isinstance(params, Mapping) else params
    written: list[tuple[str, str]] = []
    for name, value in pairs:
        values = value if isinstance(value, (list, tuple)) else [value]
        written += [(name, _text(value)) for value in values if value is not None]
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode(written)]))
    return urlunsplit(parts._replace(query=query))


def _text(value: Any) -> str:
    """A value as it stands in a query."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _named(text: str) -> str:
    """A text as descriptions have it, where `${NAME}` and `@FILE` are names."""
    if isinstance(text, Secret):
        return str(text)
    text = str(text).replace("${", "$${")
    return "$" + text if text.lstrip("$").startswith("@") else text


def _all_named(members: Mapping[str, Any] | None) -> Description | None:
    """A mapping whose values are texts of credentials."""
    return {name: _named(value) for name, value in members.items()} if members else None


def _http(
    *,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    bearer: str | None = None,
    api_key: Mapping[str, str] | None = None,
    api_key_query: Mapping[str, str] | None = None,
    cookies: Mapping[str, str] | None = None,
    also_origins: Sequence[str] | None = None,
    oauth2: Mapping[str, Any] | None = None,
    rate: str | None = None,
    retries: int | None = None,
    timeout: float | None = None,
) -> Description | None:
    """How requests are sent."""
    if oauth2 is not None:
        oauth2 = dict(oauth2)
        for name in ("client_id", "client_secret"):
            if name in oauth2:
                oauth2[name] = _named(oauth2[name])
    members = _given(
        headers=_all_named(headers),
        user=None if auth is None else ":".join(_named(text) for text in auth),
        bearer=bearer and _named(bearer),
        api_key=_all_named(api_key),
        api_key_query=_all_named(api_key_query),
        cookies=_all_named(cookies),
        also_origins=also_origins and list(also_origins),
        oauth2=oauth2,
        rate=rate,
        retries=retries,
        timeout=timeout,
    )
    return members or None
