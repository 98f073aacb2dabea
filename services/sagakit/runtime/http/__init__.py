"""How a service is spoken to over HTTP: routes as data, problems, the OpenAPI document, probes, and the server.

Here belongs what every service does alike. What a service answers does not: a route names a handler, which takes
parsed values in and gives a struct out.
"""
