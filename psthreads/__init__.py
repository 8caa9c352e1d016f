"""psthreads runs long work in the background and lets people see it, follow it and stop it.

The words, as everywhere in the code, the docs and on the wire:

thread   one run of a process in the background: what the API lists, shows, logs and cancels.
process  a kind of work that can be started: a registered function, its route, its scope, its role.
group    the unit of access: members, and a folder of documents.
member   a person or program that signs in; an administrator is one with the `admin` flag.
role     what a membership allows, from guest up to moderator-and-approver.
message  one human sentence on where a thread is now, or why it ended.
event    one numbered line of a thread's log.
"""
