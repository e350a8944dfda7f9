"""Credentials at the moment of use: read again, renewed, given up.

A `Login` says where credentials come from; a `Source` of this room says what they are now.
`sources` composes them, `files` reads tokens and certificates that others renew, `exec_plugin`
runs the program that prints them, `validity` reads when a certificate ends.
"""
