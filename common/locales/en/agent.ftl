### The agent: questions, answers, tables, errors.

## What was mistyped

usage-unknown-option = Unknown option: { $option }.
usage-unknown-command = Unknown command: { $command }.
usage-missing-command = A command is missing.
usage-missing-option = Missing: { $option }.
usage-conflict = { $option } does not go with { $other }.
usage-invalid-value = "{ $value }" is not a possible value of { $option }.
usage-other = The command line is not understood: { $option }
usage-hint = Close or possible values: { $hint }.

## Questions

prompt-server = Address of the server (https://host:port):
prompt-fingerprint = Fingerprint of the root certificate (64 hexadecimal digits, from your provider):
prompt-identifier = Identifier:
prompt-password = Password:
prompt-new-password = New password (at least 12 characters):
prompt-new-password-again = Once more:
prompt-passphrase = Passphrase of your backups:
prompt-new-passphrase = Chosen passphrase (at least 12 characters):
prompt-new-passphrase-again = Once more:
prompt-recovery-key = Recovery key:
prompt-recovery-key-again = Type the recovery key back, to check:
prompt-different = The two differ. Try again.
prompt-source = Which source does this machine back up?
prompt-path = Folder to back up (empty line to end):
prompt-exclude = Pattern to exclude, as in .gitignore (empty line to end):

## Setup

setup-change-password = The temporary password must be replaced.
setup-sources = Sources on the order form: { $known }.
setup-paths = Name the folders to back up, one per line.
setup-done = This machine is enrolled (agent { $agent }).
setup-next-backup = First backup: dobaas backup { $source }
setup-next-set = Choose what is backed up: dobaas sources set SOURCE --path FOLDER

## Keys

key-choose-passphrase =
    Choose the passphrase that will open your backups. It does not leave this machine:
    without it and the recovery key, nobody can read what is backed up, not even your provider.
key-recovery-shown =
    This is the recovery key. Print it or copy it, and keep it elsewhere than on this machine.
    It will never be shown again.
key-recovery-written = Recovery key written to { $path }. Put it in a safe place away from this machine, then delete this file.
key-label-passphrase = passphrase
key-label-recovery = recovery key
key-changed = The keyring is up to date (generation { $number }). The old passphrase and the old recovery key no longer work.

## Sources

sources-heading-kind = Kind
sources-heading-name = Name
sources-heading-level = State in this version
sources-level-on = on, proven on real file systems
sources-level-on-virtual-disk = on, proven on real images of the QEMU tools
sources-level-off = not available yet
check-heading-item = Item
check-heading-state = State
check-ready = ready
check-unreadable = unreadable
check-no-tools = the QEMU tools are not installed: images are read as files; install qemu-utils
check-disk = read as a disk ({ $format }, { $size })
check-file = read as a file: { $why }
check-file-no-tools = no QEMU tools
check-file-plain = neither the name nor the start of an image
check-file-backing-file = it rests on another image
check-file-data-file = its content is in another file
check-file-encrypted = its content is encrypted
check-file-internal-snapshots = it holds snapshots of its own
check-file-corrupt = it is marked as damaged
check-file-variant = a variant of the format that is not read
check-file-size = size of the disk out of bounds
check-file-too-many = too many images in this source
check-file-unreadable = the QEMU tools do not read it
sources-set-saved = { $source }: backup set saved (version { $version }).
source-kind-files = Files and folders
source-kind-network-share = Network shares
source-kind-mysql = MySQL databases
source-kind-sql-database = SQL databases
source-kind-virtual-disk = Virtual disks
source-kind-system-state = System state
source-kind-vmware-snapshot = VMware snapshots (ESX, ESXi)
source-kind-hyperv-snapshot = Hyper-V snapshots
source-kind-oracle = Oracle databases
source-kind-sharepoint = SharePoint
source-kind-exchange-store = Exchange information stores

## Status

status-head = { $customer }, contract { $reference } ({ $state }). Data stored at: { $location }.
status-source = Source
status-newest = Last backup
status-state = State
status-size = Size
status-verified = Last verification
status-receipt = Receipt
status-never = never
status-no-source = No backup so far.
status-volume = Volume: { $used } of { $contracted } contracted ({ $share }).
state-complete = complete
state-suspect = suspect
state-outside-guarantee = outside the guarantee
state-partial = partial
subscription-active = active
subscription-suspended = suspended
subscription-ended = ended
subscription-unknown = unknown state

## Progress

step-opening = opening
step-fetching = reading the tree again
step-reading = reading and sending
step-finishing = end of sending
step-committing = committing
progress-line = { $step }: { $files } files, { $bytes }, { $moved } transferred, { $rate }
progress-remaining = , { $remaining } left

## Backup

backup-skipped = { $path }: { $reason }
backup-fuzzy = { PLURAL($count) ->
    [one] { $count } file changed while it was read; its copy may be inconsistent.
   *[other] { $count } files changed while they were read; their copies may be inconsistent.
}
backup-rolled-back = WARNING: the server shows an older history than the receipts kept on this machine. Call your provider.
backup-busy = "{ $source }" is being backed up already. Wait until the other run ends.
backup-walk = "{ $source }": a folder of the backup set cannot be read; nothing was recorded. Check the mount and the rights.
backup-not-mounted = "{ $source }": the file system that was mounted on { $path } is gone, and the folder is empty; nothing was recorded. Mount it again; if it is gone for good, save the folders of the source again ("dobaas sources set").
backup-receipt = "{ $source }": the server's receipt is not valid; the backup does not count. Call your provider.
backup-self-check = "{ $source }": this machine miscomputed a chunk, read again before it was sent; nothing wrong was recorded. Check its memory.
backup-still-missing = "{ $source }": the server asks for the same data again and again. Call your provider.
backup-failed = "{ $source }": the backup failed. Run it again; what was sent is not sent twice.
skip-reason-permission-denied = access denied
skip-reason-io-error = read error
skip-reason-path-too-long = path too long
skip-reason-not-mounted = the file system that was mounted here last time is gone; mount it again, or save the source again if it is gone for good ("dobaas sources set")
skip-reason-deferred = waits for another day, the contract allows no more change today
skip-reason-in-use = image in use by a running virtual machine; stop the machine, or back up a copy of the image
skip-reason-unsupported = unsupported type of file

## Snapshots

dates-head = { $source } ({ $host })
dates-point = Point
dates-id = Id
dates-date = Date
dates-files = Files
dates-suspect = A suspect backup shows a sudden change (ransomware, mass deletion?). Check the machine, and take back an earlier date if need be: nothing leaves your history before the provider has looked.
dates-changed = Changed
dates-unusable = { PLURAL($count) ->
    [one] { $count } backup cannot be read or is not authentic; it is not offered. Call your provider.
   *[other] { $count } backups cannot be read or are not authentic; they are not offered. Call your provider.
}
state-untrusted = invalid receipt
point-other-day = No backup on { $point }: the one of { $date } is used.
browse-lost = { PLURAL($count) ->
    [one] { $count } part of the listing is damaged on the server: names may be missing.
   *[other] { $count } parts of the listing are damaged on the server: names may be missing.
}
browse-absent = { $path } does not exist in this backup. "dobaas find" looks for a name, "dobaas versions" shows when a file existed.
browse-damaged = The listing of files is damaged there on the server. Choose another date and tell your provider.
browse-failed = The backup could not be read. Try again.
version-there = { $size }, changed on { $date }
version-gone = deleted

## Verification

step-verifying = verifying
verify-good = All is well: { PLURAL($files) ->
    [one] { $files } file read back and verified
   *[other] { $files } files read back and verified
} ({ $bytes }) in { $duration }.
verify-bad = { PLURAL($failed) ->
    [one] { $failed } file cannot be read back as it was backed up
   *[other] { $failed } files cannot be read back as they were backed up
}, see the list; { $files } verified ({ $bytes }) in { $duration }. Tell your provider and run a backup again.
dump-no-file = { $path } is not a file. "dobaas restore" restores folders and links.
dump-failed = { $path } could not be read back as it was backed up; what was just written cannot be relied on. Choose another date.

## Restore

step-restoring = restoring
restore-from = { $source }, backup of { $date } → { $target }
restore-would = Dry run: { PLURAL($files) ->
    [one] { $files } file would be restored
   *[other] { $files } files would be restored
} ({ $bytes }); already there: { $present }, left alone: { $skipped }, impossible: { $failed }. Duration: { $duration }.
restore-complete = { PLURAL($files) ->
    [one] { $files } file restored and verified
   *[other] { $files } files restored and verified
} ({ $bytes }) in { $duration }; already there: { $present }, left alone: { $skipped }, impossible: { $failed }.
restore-incomplete = Incomplete: { PLURAL($files) ->
    [one] { $files } file restored and verified
   *[other] { $files } files restored and verified
} ({ $bytes }) in { $duration }; already there: { $present }, left alone: { $skipped }, impossible: { $failed }, see the list.
restore-target = { $target } cannot be the target. Check the path and the rights, or choose another one with --to.
restore-disk = Writing to { $target } failed; the restore has stopped. Free some space, then run it again: it goes on where it was.
restore-failed = The restore to { $target } failed. Run it again: it goes on where it was.
restore-sync = Everything is written to { $target }, but the system did not confirm that it will last. Check the disk, then run it again.
problem-content-missing = the content is missing on the server
problem-content-damaged = the content is damaged on the server
problem-key-missing = no key at hand reads this content
problem-digest-mismatch = the content read back is not what was backed up
problem-tree-damaged = the listing of this folder is damaged on the server
problem-exists = exists already, left alone (see --overwrite)
problem-in-the-way = another type of file is in its place
problem-tree-inconsistent = the entry does not fit into the tree; it is refused
problem-device-not-asked = a device, made again only with --devices
problem-socket = a socket belongs to the program that listens; it is not made again
problem-privilege-not-asked = elevated rights, given back only with --privileges
problem-owner-not-set = its owner could not be given back
problem-attribute-not-set = an extended attribute could not be given back
problem-disk-format = the image cannot be made again here in its format; install qemu-utils, or restore it with --disk-format raw
problem-digest-not-checked = holes too large to verify the whole; each chunk was verified
problem-io-error = the system refused

## What failed

cli-unreachable = The server does not answer. Check the network and the address, then try again.
cli-untrusted = The server is not the expected one; nothing was sent. Check the fingerprint with your provider.
cli-out-of-date = By this machine's clock the server's certificate is not valid; nothing was sent. Set the clock right; if it is right, call your provider.
cli-protocol = The server gave an unexpected answer. Update the agent; if it happens again, call your provider.
cli-invalid-address = "{ $url }" is not the address of a server. Write it as https://host:port.
cli-fingerprint = This is not a fingerprint: it takes 64 hexadecimal digits, as your provider gave them.
cli-not-set-up = This machine is not set up yet (no { $path }). Run "dobaas setup", or name --server, --fingerprint and --identifier.
cli-already-set-up = This machine is already set up (agent { $agent }). To set it up again, add --again.
cli-identity-exposed = { $path } can be read by others than its owner. Run "chmod 600", and have the agent revoked if it may have been copied.
cli-identity-damaged = { $path } is damaged. Run "dobaas setup --again".
cli-file = { $path } cannot be used. Check the rights and the free space.
cli-file-exists = { $path } exists already and is not replaced. Choose another name.
cli-config-unknown-key = { $path }: unknown key "{ $key }". Did you mean "{ $nearest }"?
cli-config-invalid = { $path } is not valid. Correct it; the commented sample shows every key.
cli-secret = The secret could not be read from { $source }.
cli-no-answer = Nobody answered the question. Give the options of the unattended form (see --help).
cli-must-change-password = The temporary password must be changed: add --new-password-file, or run the command in a terminal.
cli-short-passphrase = The passphrase needs at least { $min } characters. Choose a longer one.
cli-wrong-passphrase = This passphrase does not open your backups. Check it, or use the recovery key (--recovery-key).
cli-wrong-recovery-key = This recovery key does not open your backups: it is well formed, but it is not the right one, or it was replaced.
cli-recovery-length = A recovery key has { $wanted } characters, there are { $found }. Count the groups: 14 groups of 4.
cli-recovery-character = Character no. { $position } cannot be in a recovery key. Read that group again.
cli-recovery-checksum = The recovery key has a typing error: its checksum does not match. Read each group again.
cli-recovery-out-needed = Unattended, say where the recovery key goes: add --recovery-key-out FILE.
cli-no-keyring-yet = This subscription has no keyring yet: there is no recovery key. Run "dobaas setup" with a passphrase.
cli-keyring-untrusted = The keyring that the server shows does not follow the one that this machine knows; it is refused. Call your provider.
cli-keyring-damaged = The keyring that the server shows cannot be read. Call your provider.
cli-source-unknown = "{ $source }" is not a source on the order form. Contracted sources: { $known }.
cli-kind-off = "{ $source }" is of a kind that this version does not back up yet. "dobaas sources list" says what is available.
cli-agent-unknown = "{ $agent }" does not name one agent of this subscription. Known agents: { $known }.
cli-no-path = At least one folder to back up is missing: add --path FOLDER.
cli-path-missing = { $path } does not exist or cannot be read. Check the path and the rights.
cli-output = The output could not be written.
cli-crashed = The program stopped on an internal error. Whatever has a receipt is backed up; report the error to your provider.
no-thread = The system gives this program no thread: memory or the number of processes is limited too low (ulimit, MemoryMax, TasksMax), or the machine has none left. Nothing is lost: free some or raise the limit, then start it again.
password-changed = The password is changed; your other logins have ended. Installed machines do not depend on it.
cli-interrupted = Interrupted. Nothing is lost: the next run goes on where this one stopped.
cli-set-unknown = This machine has no source "{ $source }". "dobaas status" shows its own; "dobaas sources set" adds one.
cli-no-set = This machine has nothing to back up yet. Choose it: dobaas sources set SOURCE --path FOLDER
cli-set-unreadable = "{ $source }": the backup set cannot be read.
cli-no-snapshot = There is no backup to read with these rights.
cli-source-needed = Several sources are backed up: add --source. Sources: { $known }.
cli-point = "{ $point }" does not name a backup. Write latest, a date (2026-11-21), a date and a time, @3 or the start of an id.
cli-point-absent = "{ $source }" has no backup at "{ $point }" or before. "dobaas dates" shows those that exist.
cli-id-ambiguous = Several backups start with { $id }. Give more digits.
cli-snapshot-untrusted = Backup { $id } is refused: it is not what this key wrote and the provider signed. Choose another date and call your provider.
cli-other-scope = This backup is of another machine: name --identifier and the passphrase.
cli-path-invalid = { $path } is not a path of a backup. Write it from the root, without "..".
cli-pattern = The pattern "{ $pattern }" is not understood. The syntax is that of .gitignore.
