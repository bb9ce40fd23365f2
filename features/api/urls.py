from django.urls import path

from features.api.views.batches import BatchView, ComputeView, DefinitionsView, WeightsView
from features.api.views.customers import ExplanationView, FeaturesView, HistoryView, VectorView
from features.api.views.erasure import ErasureView
from features.api.views.feature_sets import FeatureSetsView, FeatureSetView
from features.api.views.lists import CustomerListView
from features.api.views.training import AsOfView

# The URLs of cached reads come first: patterns are tried in order.
urlpatterns = [
    path("customers/<str:customer_id>/features/", FeaturesView.as_view(), name="features"),
    path("features/batch/", BatchView.as_view(), name="batch"),
    path("customers/<str:customer_id>/vector/", VectorView.as_view(), name="vector"),
    path("customers/", CustomerListView.as_view(), name="customers"),
    path("customers/<str:customer_id>/", ErasureView.as_view(), name="customer"),
    path("customers/<str:customer_id>/explanation/", ExplanationView.as_view(), name="explanation"),
    path("customers/<str:customer_id>/features/<str:name>/history/", HistoryView.as_view(), name="history"),
    path("features/compute/", ComputeView.as_view(), name="compute"),
    path("features/as-of/", AsOfView.as_view(), name="as-of"),
    path("definitions/", DefinitionsView.as_view(), name="definitions"),
    path("feature-sets/", FeatureSetsView.as_view(), name="feature-sets"),
    path("feature-sets/<str:feature_set>/", FeatureSetView.as_view(), name="feature-set"),
    path("weights/", WeightsView.as_view(), name="weights"),
]
