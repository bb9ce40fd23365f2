from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "featurehub.access"
    verbose_name = "Access"
