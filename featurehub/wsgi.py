"""The WSGI application that granian serves."""

import gc
import os

import django

from featurehub.handler import Handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
django.setup(set_prefix=False)
application = Handler()
# What is loaded by now stays: looking through it at every full collection would hold requests up for 100 ms.
gc.collect()
gc.freeze()
