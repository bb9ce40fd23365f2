"""Event types, in the order in which their contributions to a score are added."""

PAGE_VIEW = "page_view"
EMAIL_OPEN = "email_open"
EMAIL_CLICK = "email_click"
FORM_SUBMIT = "form_submit"
PURCHASE = "purchase"
LOGIN = "login"

EVENT_TYPES = (PAGE_VIEW, EMAIL_OPEN, EMAIL_CLICK, FORM_SUBMIT, PURCHASE, LOGIN)
