"""The kinds of event, in the order in which their contributions are added up."""

PAGE_VIEW = "page_view"
EMAIL_OPEN = "email_open"
EMAIL_CLICK = "email_click"
FORM_SUBMIT = "form_submit"
PURCHASE = "purchase"
LOGIN = "login"

EVENT_TYPES = (PAGE_VIEW, EMAIL_OPEN, EMAIL_CLICK, FORM_SUBMIT, PURCHASE, LOGIN)
