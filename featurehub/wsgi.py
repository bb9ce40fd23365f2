"""The WSGI application that granian serves."""

import os

import django

from featurehub.http.handler import Handler
from featurehub.lib.gc_tuning import leave_what_is_loaded
from featurehub.processors import stay_on_one

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
stay_on_one()
django.setup(set_prefix=False)
application = Handler()
leave_what_is_loaded()
