"""Django's admin with the site of FeatureHub."""

from django.contrib.admin.apps import AdminConfig


class FeatureHubAdminConfig(AdminConfig):
    default_site = "featurehub.admin.site.FeatureHubAdminSite"
