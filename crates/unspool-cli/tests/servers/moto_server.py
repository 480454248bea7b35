"""The APIs of AWS as moto answers them, over a bucket, a table, a log and a list of users.

    python moto_server.py [PORT [ROWS]]        port 0, the default, takes a free one

The first line on stdout is `listening on http://127.0.0.1:PORT`; SIGTERM ends the one process.
A correct client counts ROWS (default 1234) items at:

    /orders?list-type=2&max-keys=100    S3 ListObjectsV2 in XML: Contents, IsTruncated,
                                        NextContinuationToken into continuation-token
    /orders?max-keys=100                S3 ListObjects: IsTruncated, the last Key into marker, which
                                        NextMarker names only where there is a delimiter
    POST / {"TableName": "orders", "Limit": 100} with X-Amz-Target: DynamoDB_20120810.Scan
                                        LastEvaluatedKey, an object, into ExclusiveStartKey
    POST / {"logGroupName": "shop", "logStreamName": "orders", "startFromHead": true, "limit": 100}
                                        with X-Amz-Target: Logs_20140328.GetLogEvents: nextForwardToken
                                        into nextToken; behind the last event it gives the same again

Requests need no signature, but the services other than S3 want an Authorization that names them
(`AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/SERVICE/aws4_request`, with dynamodb or logs), and
DynamoDB a Content-Type of application/x-amz-json-1.0.
"""

import argparse
import logging
import os
import time

os.environ.update(
    AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_DEFAULT_REGION="us-east-1"
)

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

# A full pipe that nobody reads would stop the server: errors only.
logging.disable(logging.WARNING)


def fill(url, rows):
    client = lambda service: boto3.client(service, endpoint_url=url, region_name="us-east-1")
    client("s3").create_bucket(Bucket="orders")
    # A thousand requests would take ten seconds.
    objects = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for n in range(1, rows + 1):
        objects.put_object("orders", f"2026/a b&c/{n:07}.json", b"{}")
    table = client("dynamodb")
    table.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for begin in range(1, rows + 1, 25):
        table.batch_write_item(
            RequestItems={
                "orders": [
                    {"PutRequest": {"Item": {"id": {"S": f"SO-{n:07}"}, "total": {"N": str(n)}}}}
                    for n in range(begin, min(begin + 25, rows + 1))
                ]
            }
        )
    log = client("logs")
    log.create_log_group(logGroupName="shop")
    log.create_log_stream(logGroupName="shop", logStreamName="orders")
    now = int(time.time() * 1000)
    log.put_log_events(
        logGroupName="shop",
        logStreamName="orders",
        logEvents=[{"timestamp": now + n, "message": f"order {n}"} for n in range(1, rows + 1)],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("rows", type=int, nargs="?", default=1234)
    arguments = parser.parse_args()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=arguments.port, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    fill(f"http://{host}:{port}", arguments.rows)
    print(f"listening on http://{host}:{port}", flush=True)
    while True:
        time.sleep(3600)
