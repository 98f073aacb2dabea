"""kubectl-saga: sagactl for a shop in a cluster, by the person's own kubectl, so that nothing has to be exposed.

Here belongs what differs: which commands there are and the options that name a cluster, how the release and its
services are found, how a resource's name becomes a saga, and what the API server says when it is in the way. What a
command does stands in `onebox.commands`, and is the same.
"""
