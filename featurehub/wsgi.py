"""The WSGI application that granian serves."""

import os

import django
from django.conf import settings

from featurehub.http.handler import Handler
from featurehub.lib.gc_tuning import freeze_loaded_objects
from featurehub.observability.tracing import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "featurehub.settings")
django.setup(set_prefix=False)
tracing.start(settings.POOL or "web")
application = Handler()
freeze_loaded_objects()
