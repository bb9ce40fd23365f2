"""Print values of customers as JSON: `python read.py --names cart_value,engagement_score c1 c2`.

The server is that of FEATUREHUB_URL and FEATUREHUB_API_KEY. The object is {customer: {name: value}}, with sorted keys.
"""

import argparse
import json

from featurehub_client import FeatureHub


def main() -> None:
    """Read the values by one request, and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", required=True, help="names of features, separated by commas")
    parser.add_argument("customers", nargs="+", help="ids of customers")
    asked = parser.parse_args()
    with FeatureHub() as hub:
        values = hub.get_features_of_customers(asked.customers, asked.names.split(","))
    print(json.dumps({each.customer_id: each.features for each in values}, sort_keys=True))


if __name__ == "__main__":
    main()
