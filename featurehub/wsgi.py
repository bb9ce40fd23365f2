"""The WSGI application that granian serves."""

import os

import django

from featurehub.http.handler import Handler
from featurehub.lib.gc_tuning import freeze_loaded_objects

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
django.setup(set_prefix=False)
application = Handler()
freeze_loaded_objects()
