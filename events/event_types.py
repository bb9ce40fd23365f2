"""The event types that are there from the start, in the order in which their contributions to a score are added.

Further ones are registered: see `events.registered_types`.
"""

PAGE_VIEW = "page_view"
EMAIL_OPEN = "email_open"
EMAIL_CLICK = "email_click"
FORM_SUBMIT = "form_submit"
PURCHASE = "purchase"
LOGIN = "login"

EVENT_TYPES = (PAGE_VIEW, EMAIL_OPEN, EMAIL_CLICK, FORM_SUBMIT, PURCHASE, LOGIN)

EVENT_TYPE_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"
LONGEST_EVENT_TYPE = 64
