"""Dead letters as a person at the command line sees them: read, chosen, shown, and decided about.

Here belongs what a person is told and asked. What a letter is, and what a decision does, stands in
`sagakit.runtime.dead_letters`.
"""
