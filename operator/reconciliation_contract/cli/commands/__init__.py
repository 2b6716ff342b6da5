"""One module a group of commands: arguments in, a request or a report out."""
