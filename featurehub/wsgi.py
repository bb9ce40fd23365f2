"""The WSGI application that granian serves."""

import os

import django

from featurehub.http.handler import Handler
from featurehub.lib.gc_tuning import freeze_loaded_objects
from featurehub.processors import stay_on_one

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
stay_on_one()
django.setup(set_prefix=False)
application = Handler()
freeze_loaded_objects()
