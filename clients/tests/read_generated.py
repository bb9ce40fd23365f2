"""Print values of customers as clients/python/examples/read.py does, by a client that is generated from the schema."""

import json
import os
import sys

from generated_featurehub_client import AuthenticatedClient
from generated_featurehub_client.api.values import get_features_of_customers
from generated_featurehub_client.models import BatchRequest

_, names, *customers = sys.argv[1:]
client = AuthenticatedClient(base_url=os.environ["FEATUREHUB_URL"], token=os.environ["FEATUREHUB_API_KEY"])
body = BatchRequest(customer_ids=customers, names=names.split(","))
answer = get_features_of_customers.sync(client=client, body=body)
print(json.dumps({each.customer_id: each.features.to_dict() for each in answer.results}, sort_keys=True))
