### Texts: server.

help-dobaas-server = The Do'BaaS backup server
help-server-init = Makes a server's folder: configuration, store, identity, first operator
help-server-serve = Serves the agents until SIGTERM or SIGINT
help-server-check-config = Checks configuration and identity without changing anything
help-argument-folder = The server's folder
help-option-listen = Address and port to listen on (default: every address, port 7443)
help-option-site = Name of the site where the data is
help-option-country = Country of the site; only FR is accepted
help-option-owner = Whose machines they are; "third_party" is refused
help-option-name = DNS name or IP address of the server, for its certificate; may be repeated
help-option-operator = Identifier of the first operator
help-option-ready-fd = Writes the bound address to this file descriptor when the server is ready

server-init-done = The server was made in { $folder } (site { $site }, { $country }).
    
    Fingerprint of the root, for every installation of an agent:
      { $fingerprint }
    First operator: { $operator }
    Default password, shown this once, good for 30 days:
      { $password }
    
    Next: dobaas-server serve { $folder }, then dobaas-admin login.
server-listening = Listening: { $address }
server-config-valid = The configuration is valid.
    Listens on: { $listen }
    Names in the certificate: { $names }
    Store: { $store }
    Place: { $site }, { $country }, owner { $owner }
    Fingerprint of the root: { $fingerprint }
server-failed = Failed: { $cause }
server-folder-exists = The folder exists: nothing was changed. Choose a folder that does not exist.
server-identity-unusable = The identity file { $path } is missing or not valid. Restore the folder "identity" from its copy; do not make another root, the agents would refuse it.
server-config-unreadable = The configuration { $path } cannot be read. Check the folder and the rights of the file. For a new server: "dobaas-server init". If only this file is lost, make a server elsewhere with "init", copy its server.toml here and correct it.
server-config-key = The configuration holds an unknown key: "{ $key }". The nearest known key is "{ $nearest }".
server-config-invalid = The configuration is not valid: { $message }

location-missing = The place of the data is not declared: "location.{ $field }" is missing. The contract wants a declared site in France: the server refuses to start.
location-country = The declared country "{ $country }" is refused: the contract wants FR. The server refuses to start.
location-third-party = The owner "third_party" is refused: the contract wants the provider's machines. The server refuses to start.

help-server-rebuild = Makes the catalog of a subscription (or of all) again from packs and objects; server stopped
help-server-scrub = Reads everything that is stored and lists what is damaged; server stopped, no key
help-argument-subscription = Reference or id of the subscription; all otherwise
server-head-subscription = Subscription
server-head-packs = Packs
server-head-frames = Frames
server-head-snapshots = Snapshots
server-head-salvaged = Salvaged packs
server-head-incomplete = Incomplete snapshots
server-head-damaged = Unreadable snapshots
server-head-holds = Holds
server-head-protections = Protections
server-head-objects = Objects read
server-head-bytes = Bytes read
server-head-damaged-objects = Damaged
server-head-unknown = Unknown
server-head-chunks = Chunks lost
server-head-affected = Snapshots affected
server-damaged-object = Damaged or missing: { $object }
server-unknown-object = Unknown to the catalog: { $object }
server-affected-snapshot = Snapshot affected: { $snapshot }
server-scrub-clean = Everything is as it was stored.
server-scrub-damaged = Damage was found. The agents send again what they still have; keep the disk and tell the customer about the affected snapshots.
server-subscription-busy = The subscription is in use by another process. Stop "dobaas-server serve", then try again.
server-other-owner = The folder { $folder } belongs to the user { $owner }. Nothing was done: the service could not open what another user makes in it. Run the same command as that user: sudo -u { $owner } dobaas-server …
server-folder-busy = Another process works on { $folder }: nothing was done. Stop the server (systemctl stop dobaas-server) or wait until the other command has ended, then try again.
server-needs-rebuild = The catalog is missing or does not know everything that is stored. Run "dobaas-server rebuild" before anything else.
server-no-store = The folder { $folder } is not a Do'BaaS store: its file "dobaas-store" is missing. Nothing was made. Mount the disk of the store, or correct the key "store" of the configuration, then try again. If the disk was replaced, declare the new one with "dobaas-server mark-store".
server-store-emptied = The store holds nothing any more of what the catalog of the subscription knows. Nothing was changed. Check that the disk of the store is mounted and whole; if objects are really lost, run "dobaas-server rebuild".

help-server-backup-control = Copies the provider's records into the store, whether the server runs or not
help-server-restore-control = Puts the records back from a copy; server stopped, the old file moved away
help-option-copy = Name of the copy to put back; the newest otherwise
control-copied = Records copied: { $file }
control-restored = Records put back from the copy of { $at }.
    
    What was recorded after that (order forms, accounts, lifted holds, trail) is not in it.
    A customer's person who changed a password since needs a temporary one ("dobaas-admin account reset-password"); an operator's is again that of this date.
    Everybody logs in again, and one-use tokens have to be made anew.
    Pruning waits until an operator has seen this and allows it.
control-missing = The provider's records ({ $path }) are missing or empty: nothing was made. Check that the server's disk is mounted. If they are lost, put their last copy back with "dobaas-server restore-control", then start again.
control-newer = The provider's records (control.db) are those of a newer dobaas-server: version { $version }, this one reads up to version { $newest }. Nothing was changed. Install the newer program again.
control-damaged = The provider's records (control.db) are damaged: nothing was changed. Keep them aside: move control.db, control.db-wal and control.db-shm, then put their last copy back with "dobaas-server restore-control".
control-none = There is no copy of the records in this store.
control-exists = { $path } exists: nothing was changed. Stop the server, move this file away (with its -wal and -shm files), then try again.
control-copy-damaged = The copy { $file } is damaged: nothing was changed. Choose another one with --copy.

help-server-reset-operator = Let an operator in again: temporary password, from anywhere, without an end; whether the server runs or not
help-option-operator-reset = Identifier of the operator
server-no-such-operator = No operator is called "{ $operator }". There is: { $list }.
server-operator-reset = Temporary password of the operator { $operator }, shown this once, good for 30 days:
      { $password }
    
    Their sessions are closed; their allowed networks and their end are lifted. The audit trail says so.
    Next: dobaas-admin login, then "dobaas-admin account networks" if they may come from some networks only.

help-server-mark-store = Declares that the folder "store" of the configuration is the store, after a change of disk
mark-store-confirm = Path of the empty folder, typed to confirm
mark-store-marked = The folder { $folder } is declared as the store already: nothing was changed.
mark-store-absent = The folder { $folder } does not exist. Mount the disk of the store or make the folder, then try again.
mark-store-empty = The folder { $folder } is empty: if it becomes the store, everything that was backed up counts as lost. If the disk is merely not mounted, mount it. If it was really replaced by an empty disk, confirm with "--confirm { $folder }".
mark-store-done-empty = The folder { $folder } is the store; it is empty. { $aside ->
    [none] {""}
   *[other] {"The old index is kept in "}{ $aside }.
} The keyrings were in the store too: start the server, tell the customers, and have each machine set up again ("dobaas setup"); it then sends everything again.
mark-store-done = The folder { $folder } is the store; it holds the data of { PLURAL($count) ->
    [one] { $count } subscription
   *[other] { $count } subscriptions
}. Now run "dobaas-server rebuild", then "dobaas-server scrub": they say what is missing, and the next backups send it again.
