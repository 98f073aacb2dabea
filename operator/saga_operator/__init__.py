"""The operator: it keeps OrderSaga resources and the sagas they stand for in step.

Here belong everything that speaks to the API server, what is to be done about a resource, and the custom resources
themselves. How a saga goes, the kit decides; what an order is, the shop's contracts say.
"""
