"""The pages, one module each, and beside it the JSON that is made of it."""

from observability.dashboards import analytics, messaging, operator, overview, saga, steps

PAGES = (overview.PAGE, saga.PAGE, steps.PAGE, operator.PAGE, messaging.PAGE, analytics.PAGE)
