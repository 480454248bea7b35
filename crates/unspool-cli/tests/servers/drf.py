"""A Django REST framework API as its users write it, paginated in every way that DRF ships.

    python drf.py [PORT [ROWS]]        port 0, the default, takes a free one

The first line on stdout is `listening on http://127.0.0.1:PORT`; SIGTERM ends the one process.
The orders have ids 1..=ROWS (default 1234); a correct client counts ROWS items at each of these:

    /page/      PageNumberPagination    {count, next, previous, results}, ?page=2, ?page_size=1..500
    /offset/    LimitOffsetPagination   {count, next, previous, results}, ?limit=100&offset=100
    /cursor/    CursorPagination        {next, previous, results}, no count, ?cursor=…
    /all/       unpaginated             [ … ]
    /jsonapi/   JSON:API                {links: {first, last, next, prev}, data, meta: {pagination}},
                                        ?page[number]=2, ?page[size]=1..100
    /private/   /page/ behind basic authentication, user `ada`, password `lovelace`

`next` is an absolute URL or null; bodies are gzipped for those who accept it. A page past the last is
a 404 at /page/, an empty page at /offset/. /page/ and /offset/ go by ascending id, /cursor/ by
descending time, with three orders in each minute, so that its cursors also carry offsets.
"""

import argparse
import logging
import socket
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            # Shared between the threads of this process, and gone with it.
            "NAME": "file:shop?mode=memory&cache=shared",
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        # Keep-alive (by Content-Length), and a redirect from /page to /page/.
        "django.middleware.common.CommonMiddleware",
    ],
    # The default takes a quarter of a second for each request to /private/, on purpose.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
    ROOT_URLCONF=__name__,
    TIME_ZONE="UTC",
)
django.setup()
# A full pipe that nobody reads would stop the server: errors only.
logging.disable(logging.WARNING)

# What has models can be imported only now.
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.urls import path
from rest_framework import generics, pagination, serializers
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework_json_api import serializers as json_api
from rest_framework_json_api.pagination import JsonApiPageNumberPagination
from rest_framework_json_api.renderers import JSONRenderer as JsonApiRenderer


class Order(models.Model):
    reference = models.CharField(max_length=20, unique=True)
    customer = models.CharField(max_length=80)
    placed = models.DateTimeField(db_index=True)
    total = models.DecimalField(max_digits=9, decimal_places=2)
    paid = models.BooleanField()
    lines = models.JSONField()
    note = models.TextField(blank=True, null=True)

    class Meta:
        app_label = "shop"


class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = "__all__"


class ByPage(pagination.PageNumberPagination):
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 500


class ByOffset(pagination.LimitOffsetPagination):
    default_limit = 100
    max_limit = 500


class ByCursor(pagination.CursorPagination):
    page_size = 100
    ordering = "-placed"


class Orders(generics.ListAPIView):
    queryset = Order.objects.order_by("id")
    serializer_class = OrderSerializer
    pagination_class = None
    authentication_classes = []


class PrivateOrders(Orders):
    pagination_class = ByPage
    authentication_classes = [BasicAuthentication]
    permission_classes = [IsAuthenticated]


class OrderResource(json_api.ModelSerializer):
    class Meta:
        model = Order
        fields = "__all__"


class ByJsonApi(JsonApiPageNumberPagination):
    page_size = 100


class OrderResources(Orders):
    serializer_class = OrderResource
    pagination_class = ByJsonApi
    renderer_classes = [JsonApiRenderer]
    resource_name = "orders"


urlpatterns = [
    path("page/", Orders.as_view(pagination_class=ByPage)),
    path("offset/", Orders.as_view(pagination_class=ByOffset)),
    path("cursor/", Orders.as_view(pagination_class=ByCursor)),
    path("all/", Orders.as_view()),
    path("jsonapi/", OrderResources.as_view()),
    path("private/", PrivateOrders.as_view()),
]


def fill(rows):
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Order)
    User.objects.create_user("ada", password="lovelace")
    customers = ["Zoë Müller", "王秀英", "O'Brien & Sons", "Łukasz “Lucky” Nowak"]
    notes = [None, "", "Leave at the door.\nRing twice.", 'Say "hello" {nicely} [please] \\o/']
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    Order.objects.bulk_create(
        (
            Order(
                reference=f"SO-{n:07}",
                customer=customers[n % len(customers)],
                placed=start + timedelta(minutes=n // 3),
                total=Decimal(n * 37 % 100_000) / 100,
                paid=n % 5 != 0,
                lines=[{"sku": f"A{n * 7 + k:06}", "quantity": k + 1} for k in range(n % 4)],
                note=notes[n // 2 % len(notes)],
            )
            for n in range(1, rows + 1)
        ),
        batch_size=500,
    )


def serve(port):
    server = ThreadedWSGIServer(("127.0.0.1", port), WSGIRequestHandler)
    server.daemon_threads = True
    # Or else each answer on a kept connection waits 40 ms for an acknowledgement.
    server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.set_app(get_wsgi_application())
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("rows", type=int, nargs="?", default=1234)
    arguments = parser.parse_args()
    fill(arguments.rows)
    serve(arguments.port)
