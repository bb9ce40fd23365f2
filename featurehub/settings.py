"""Django settings, the only module of them.

Every value that differs between machines comes from the environment.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import dj_database_url
from csp import constants as csp
from django.utils.log import CallbackFilter

from featurehub.admin import navigation
from featurehub.database.session import Session
from featurehub.lib.environment import (
    comma_separated,
    number,
    one_of,
    read_port,
    read_setting,
    some_words,
    switch,
    url,
    whole_number,
    whole_number_or_zero,
)
from featurehub.lib.private_lines import PrivateLines
from featurehub.lib.repeated_lines import RepeatedLines
from featurehub.observability.json_lines import JsonLines
from featurehub.observability.packages import otlp_endpoint

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = Path(read_setting("FEATUREHUB_LOCAL_DIR", parse=str, expected="a folder", default=".local"))

# --- Pools of web processes -------------------------------------------------------------------------------------------
# The pool that this process is in (decision 16); empty: a command, a worker, a test, a web process without a front.
POOL = read_setting(
    "FEATUREHUB_POOL", parse=one_of("", "reads", "api", "admin"), expected="reads, api, admin or empty", default=""
)
# The longest waits of its requests, in seconds: for Redis; for a session of PostgreSQL; for an answer of PostgreSQL.
REDIS_SECONDS, SESSION_SECONDS, DATABASE_SECONDS = {
    "reads": (0.25, 1.0, 1.5),
    "api": (0.25, 1.0, 1.5),
    "admin": (0.25, 1.0, 20.0),
    "": (5.0, 3.0, None),
}[POOL]

# --- FeatureHub -------------------------------------------------------------------------------------------------------
FEATURE_TTL = read_setting(
    "FEATUREHUB_FEATURE_TTL",
    parse=whole_number(least=2, most=31_536_000),
    expected="a whole number of seconds, 2 or more",
    default="3600",
)
WINDOW_DAYS = read_setting(
    "FEATUREHUB_WINDOW_DAYS",
    parse=whole_number(least=1, most=3650),
    expected="a whole number of days from 1 to 3650",
    default="30",
)
LONGEST_WINDOW_DAYS = max(WINDOW_DAYS, 90)  # a feature that is defined in the admin may have 90
# 0 keeps everything. Events are deleted by whole months. Of older history, the last row of each day is kept.
EVENT_RETENTION_DAYS = read_setting(
    "FEATUREHUB_EVENT_RETENTION_DAYS",
    parse=whole_number_or_zero(least=LONGEST_WINDOW_DAYS, most=36_500),
    expected=f"a whole number of days from {LONGEST_WINDOW_DAYS} (the longest window) on, or 0 to keep events forever",
    default="0",
)
HISTORY_RETENTION_DAYS = read_setting(
    "FEATUREHUB_HISTORY_RETENTION_DAYS",
    parse=whole_number_or_zero(least=1, most=36_500),
    expected="a whole number of days from 1 on, or 0 to keep all of the history",
    default="0",
)
# If on, a weight set can be activated only after the approval of somebody who did not write it.
TWO_PERSON_APPROVAL = read_setting("FEATUREHUB_TWO_PERSON_APPROVAL", parse=switch, expected="1 or 0", default="0")
# If on, FeatureHub may activate weights that it fitted itself, within these limits: the largest change of a weight, the
# least gain in AUC on held-out days, and the least number of customers in the evaluation.
AUTO_ACTIVATION = read_setting("FEATUREHUB_AUTO_ACTIVATION", parse=switch, expected="1 or 0", default="0")
AUTO_ACTIVATION_LARGEST_CHANGE = read_setting(
    "FEATUREHUB_AUTO_ACTIVATION_LARGEST_CHANGE",
    parse=number(least=0.0, most=1_000.0),
    expected="a number from 0 to 1000",
    default="0.1",
)
AUTO_ACTIVATION_LEAST_GAIN = read_setting(
    "FEATUREHUB_AUTO_ACTIVATION_LEAST_GAIN",
    parse=number(least=0.0, most=1.0),
    expected="a number from 0 to 1",
    default="0.01",
)
AUTO_ACTIVATION_LEAST_CUSTOMERS = read_setting(
    "FEATUREHUB_AUTO_ACTIVATION_LEAST_CUSTOMERS",
    parse=whole_number(least=1, most=1_000_000_000),
    expected="a whole number from 1 on",
    default="1000",
)
# A check of consistency compares a sample that holds, with this confidence, a wrong customer if this share of all is
# wrong: 2,995 customers. If REPAIR is on, those found wrong are computed and published anew at once.
CONSISTENCY_RATE = read_setting(
    "FEATUREHUB_CONSISTENCY_RATE",
    parse=number(least=0.0001, most=0.5),
    expected="a share of the customers from 0.0001 to 0.5",
    default="0.001",
)
CONSISTENCY_CONFIDENCE = read_setting(
    "FEATUREHUB_CONSISTENCY_CONFIDENCE",
    parse=number(least=0.5, most=0.999),
    expected="a probability from 0.5 to 0.999",
    default="0.95",
)
CONSISTENCY_REPAIR = read_setting("FEATUREHUB_CONSISTENCY_REPAIR", parse=switch, expected="1 or 0", default="0")
# The number of random customers whose values a day's profile describes.
PROFILE_SAMPLE = read_setting(
    "FEATUREHUB_PROFILE_SAMPLE",
    parse=whole_number(least=100, most=1_000_000),
    expected="a number of customers from 100 to 1000000",
    default="20000",
)
# An event type that is usual in these hours of the day is silent after so many without an event.
SILENCE_HOURS = read_setting(
    "FEATUREHUB_SILENCE_HOURS",
    parse=whole_number(least=1, most=24),
    expected="a number of hours from 1 to 24",
    default="6",
)
# Whether /metrics answers everybody; else only API keys with the scope `metrics`.
PUBLIC_METRICS = read_setting("FEATUREHUB_PUBLIC_METRICS", parse=switch, expected="1 or 0", default="0")
# The log: an object a line, or plain text.
LOG_FORMAT = read_setting(
    "FEATUREHUB_LOG_FORMAT", parse=one_of("json", "text"), expected="json or text", default="json"
)
# Where traces are sent to (OTLP over HTTP), and the share of the requests that are traced; empty: nothing is.
OTLP_ENDPOINT = read_setting(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    parse=otlp_endpoint,
    expected="a URL such as http://localhost:4318",
    default="",
)
TRACE_SHARE = read_setting(
    "FEATUREHUB_TRACE_SHARE",
    parse=number(least=0.0, most=1.0),
    expected="a share of the requests from 0 to 1",
    default="0.01",
)
# The keys of the hashes that tombstones are: the first makes new ones, the others find those that they have made.
TOMBSTONE_KEYS = read_setting(
    "FEATUREHUB_TOMBSTONE_KEY",
    parse=some_words,
    expected="a long random string, and after it those used before, separated by commas",
)
ADMIN_PASSWORD = read_setting("FEATUREHUB_ADMIN_PASSWORD", parse=str, expected="a password", default="") or None
# Largest age of the in-memory copies of API keys, feature definitions and versions, in seconds.
SNAPSHOT_SECONDS = 5.0

# --- Django -----------------------------------------------------------------------------------------------------------
SECRET_KEY = read_setting("SECRET_KEY", parse=str, expected="a long random string")
DEBUG = False
ALLOWED_HOSTS = read_setting("ALLOWED_HOSTS", parse=comma_separated, expected="host names separated by commas")
PORT = read_port()
ROOT_URLCONF = "featurehub.urls"
WSGI_APPLICATION = "featurehub.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
FORMAT_MODULE_PATH = ["featurehub.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
APPEND_SLASH = False
# The front has the same limits of bodies (deploy/nginx.conf.template). Events have one of their own: 10,000 of 1.6 KB.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
EVENTS_MAX_MEMORY_SIZE = 16 * 1024 * 1024

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # without a site of its own
    "unfold.contrib.filters",
    "featurehub.admin.apps.FeatureHubAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "django_celery_beat",
    "axes",
    "csp",
    "featurehub.access",
    "featurehub.database",
    "events",
    "features",
]
MIDDLEWARE = [
    "featurehub.http.middleware.ApiMiddleware",  # answers the API; the others are for pages
    "featurehub.http.middleware.PageTimes",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: answers in place of the login page
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "featurehub/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
# The limits of failed logins, see featurehub/access/logins.py. First axes: it refuses before a password is hashed.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "featurehub.access.logins.LoginLimits"
AXES_FAILURE_LIMIT = 5
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "featurehub.access.logins.login_address"
AXES_CLIENT_STR_CALLABLE = "featurehub.access.logins.describe_login"
AXES_LOCKOUT_CALLABLE = "featurehub.access.logins.refuse_login"
AXES_SENSITIVE_PARAMETERS = ["username", "csrfmiddlewaretoken"]
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False  # featurehub/access/admin.py has its own pages
AXES_VERBOSE = False
STATIC_URL = "/static/"
STATIC_ROOT = LOCAL_DIR / "static"

# --- PostgreSQL, Redis, Celery ----------------------------------------------------------------------------------------
DATABASE_URL = read_setting(
    "DATABASE_URL", parse=url("postgres", "postgresql"), expected="postgresql://user:password@host:port/name"
)
REDIS_URL = read_setting(
    "REDIS_URL", parse=url("redis", "rediss", "unix"), expected="redis://[:password@]host:port/number"
)
# Health checks replace sessions that PostgreSQL has ended. While it is down, a request fails after SESSION_SECONDS.
DATABASES: dict[str, Any] = {
    "default": {**dj_database_url.parse(DATABASE_URL, engine="featurehub.database", conn_health_checks=True)}
}
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
    "connection_class": Session,
    "min_size": 1,
    "max_size": 16,
    "timeout": SESSION_SECONDS,
    # The pause between attempts to connect doubles up to this, and would be minutes after an absence of minutes.
    "reconnect_timeout": SESSION_SECONDS,
}
if POOL:
    DATABASES["default"]["OPTIONS"]["connect_timeout"] = 2  # the least that libpq takes
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "SOCKET_CONNECT_TIMEOUT": min(REDIS_SECONDS, 1.0),
            "SOCKET_TIMEOUT": REDIS_SECONDS,
            "CONNECTION_POOL_CLASS": "featurehub.lib.redis_pool.RedisPool",
            "CONNECTION_POOL_KWARGS": {"max_connections": 128},
        },
    }
}
CELERY_BROKER_URL = read_setting("CELERY_BROKER_URL", parse=str, expected="a broker URL", default=REDIS_URL)
CELERY_TASK_IGNORE_RESULT = True
# A task is acknowledged after it ran, and runs again if its worker dies: every task here can run twice.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "realtime"
# Workers and beat outlive any trouble of the broker, including one that answers with errors: a replica that accepts no
# writes yet, a full disk.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BEAT_SCHEDULER = "featurehub.beat:PatientScheduler"
# After so many tasks Celery closes the pool of sessions to PostgreSQL: never, see featurehub/celery.py.
CELERY_DB_REUSE_MAX = sys.maxsize
# A message is a nudge: if the broker is down, sending one must not delay a request for longer than this.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_TRANSPORT_OPTIONS = (
    # Without max_retries, kombu would try for seconds to open a connection.
    {"socket_connect_timeout": REDIS_SECONDS, "socket_timeout": REDIS_SECONDS, "max_retries": 0}
    if POOL
    else {"socket_connect_timeout": 1, "socket_timeout": 30}
)

# --- API --------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "featurehub.http.errors.handle_error",
    "DEFAULT_SCHEMA_CLASS": "drf_standardized_errors.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
DRF_STANDARDIZED_ERRORS = {
    "EXCEPTION_FORMATTER_CLASS": "drf_standardized_errors.formatter.ExceptionFormatter",
    "NESTED_FIELD_SEPARATOR": ".",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FeatureHub",
    "DESCRIPTION": "A feature store for Django teams. Requests need an API key: `Authorization: Bearer KEY`, or "
    "`Api-Key KEY`.",
    "VERSION": "1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # A link in the button that opens an operation could not be reached with the keyboard.
    "SWAGGER_UI_SETTINGS": {"deepLinking": False},
    "SERVE_INCLUDE_SCHEMA": False,
    # Left out of the names of operations; else it depends on which other addresses there are.
    "SCHEMA_PATH_PREFIX": "/api",
    "OAS_VERSION": "3.1.0",
    "POSTPROCESSING_HOOKS": [
        "featurehub.http.openapi.place_shapes",
        "featurehub.http.openapi.add_refusals",
        "features.api.links.add_links",
    ],
    # In the order of the page.
    "TAGS": [
        {"name": "Events", "description": "What customers do: values are computed from it."},
        {"name": "Values", "description": "The values of customers, as models read them."},
        {"name": "History and training", "description": "The values that customers had."},
        {"name": "Customer lists", "description": "Customers, filtered and sorted by their values."},
        {"name": "Scores", "description": "How scores are computed, and what they would be."},
        {"name": "Feature sets", "description": "What models read, pinned to versions."},
        {"name": "Registry", "description": "The registered features."},
        {"name": "Erasure", "description": "Customers who want to be forgotten."},
    ],
    "SERVERS": [{"url": "/", "description": "The server that gave this schema."}],
    "CONTACT": {"name": "Whoever runs this FeatureHub"},
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}

# --- HTTPS ------------------------------------------------------------------------------------------------------------
HTTPS = read_setting("FEATUREHUB_HTTPS", parse=switch, expected="1 or 0", default="1")
# What browsers call by HTTPS only, for a year: this host; its subdomains, too; both, by the browsers' own lists.
HSTS = read_setting(
    "FEATUREHUB_HSTS",
    parse=one_of("host", "subdomains", "preload"),
    expected="host, subdomains or preload",
    default="host",
)
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS and HSTS in ("subdomains", "preload")
SECURE_HSTS_PRELOAD = HTTPS and HSTS == "preload"
# They ask for what concerns other hosts, which their owner decides.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
# What pages may load and run: this host's files, nothing inline. Alpine, on which unfold's pages are built, evaluates
# the text of attributes, so that the admin needs 'unsafe-eval'; the page of the API does without (featurehub/urls.py).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [csp.NONE],
        "script-src": [csp.SELF, csp.UNSAFE_EVAL],
        "style-src": [csp.SELF],
        "img-src": [csp.SELF, "data:"],
        "font-src": [csp.SELF],
        "connect-src": [csp.SELF],
        "form-action": [csp.SELF],
        "frame-ancestors": [csp.NONE],
        "base-uri": [csp.NONE],
    }
}
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS

# --- Admin ------------------------------------------------------------------------------------------------------------
LOGIN_REDIRECT_URL = "admin:index"
CSRF_FAILURE_VIEW = "featurehub.http.server_errors.csrf_failed"
UNFOLD = navigation.UNFOLD_SETTINGS

LOG_LINES = JsonLines if LOG_FORMAT == "json" else PrivateLines
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": LOG_LINES}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # 503 is not logged for each request: the part that is away is reported once.
    "filters": {
        "not_503": {"()": CallbackFilter, "callback": lambda line: getattr(line, "status_code", 0) != 503},
        "not_each_request": {"()": RepeatedLines},
    },
    "loggers": {
        "django.request": {"level": "ERROR", "filters": ["not_503"]},
        "axes": {"level": "WARNING"},
        "features.serving.read_path": {"filters": ["not_each_request"]},
        "featurehub.http.view": {"filters": ["not_each_request"]},
    },
}
