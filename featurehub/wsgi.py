"""The WSGI application that granian serves."""

import os

import django

from featurehub.garbage import leave_what_is_loaded
from featurehub.handler import Handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
django.setup(set_prefix=False)
application = Handler()
leave_what_is_loaded()
