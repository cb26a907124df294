### L'agent : questions, réponses, tableaux, erreurs.

## Ce qui a été mal tapé

usage-unknown-option = Option inconnue : { $option }.
usage-unknown-command = Commande inconnue : { $command }.
usage-missing-command = Il manque une commande.
usage-missing-option = Il manque : { $option }.
usage-conflict = { $option } ne va pas avec { $other }.
usage-invalid-value = « { $value } » n'est pas une valeur possible pour { $option }.
usage-other = La ligne de commande n'est pas comprise : { $option }
usage-hint = Valeurs proches ou possibles : { $hint }.

## Questions

prompt-server = Adresse du serveur (https://hôte:port) :
prompt-fingerprint = Empreinte du certificat racine (64 chiffres hexadécimaux, donnée par votre prestataire) :
prompt-identifier = Identifiant :
prompt-password = Mot de passe :
prompt-new-password = Nouveau mot de passe (12 caractères au moins) :
prompt-new-password-again = Encore une fois :
prompt-passphrase = Phrase secrète de vos sauvegardes :
prompt-new-passphrase = Phrase secrète choisie (12 caractères au moins) :
prompt-new-passphrase-again = Encore une fois :
prompt-recovery-key = Clé de secours :
prompt-recovery-key-again = Recopiez la clé de secours pour vérifier :
prompt-different = Les deux saisies diffèrent. Recommencez.
prompt-source = Quelle source cette machine sauvegarde-t-elle ?
prompt-path = Dossier à sauvegarder (ligne vide pour finir) :
prompt-exclude = Motif à exclure, comme dans .gitignore (ligne vide pour finir) :

## Installation

setup-change-password = Le mot de passe provisoire doit être remplacé.
setup-sources = Sources du bon de commande : { $known }.
setup-paths = Indiquez les dossiers à sauvegarder, un par ligne.
setup-done = Cette machine est enregistrée (agent { $agent }).
setup-next-backup = Première sauvegarde : dobaas backup { $source }
setup-next-set = Choisissez ce qui est sauvegardé : dobaas sources set SOURCE --path DOSSIER

## Clés

key-choose-passphrase =
    Choisissez la phrase secrète qui ouvrira vos sauvegardes. Elle ne quitte pas cette machine :
    sans elle ni la clé de secours, personne ne pourra lire ce qui est sauvegardé, pas même votre prestataire.
key-recovery-shown =
    Voici la clé de secours. Imprimez-la ou recopiez-la, et gardez-la ailleurs que sur cette machine.
    Elle ne sera plus jamais affichée.
key-recovery-written = Clé de secours écrite dans { $path }. Mettez-la en lieu sûr, hors de cette machine, puis effacez ce fichier.
key-label-passphrase = phrase secrète
key-label-recovery = clé de secours
key-changed = Le trousseau est à jour (génération { $number }). L'ancienne phrase secrète et l'ancienne clé de secours ne servent plus.

## Sources

sources-heading-kind = Type
sources-heading-name = Nom
sources-heading-level = État dans cette version
sources-level-on = active, éprouvée sur de vrais systèmes de fichiers
sources-level-on-virtual-disk = active, éprouvée sur de vraies images des outils QEMU
sources-level-off = pas encore disponible
check-heading-item = Élément
check-heading-state = État
check-ready = prêt
check-unreadable = illisible
check-no-tools = les outils QEMU ne sont pas installés : les images sont lues comme des fichiers ; installez qemu-utils
check-disk = lu comme un disque ({ $format }, { $size })
check-file = lu comme un fichier : { $why }
check-file-no-tools = outils QEMU absents
check-file-plain = ni nom ni début d'une image
check-file-backing-file = il repose sur une autre image
check-file-data-file = son contenu est dans un autre fichier
check-file-encrypted = son contenu est chiffré
check-file-internal-snapshots = il contient ses propres instantanés
check-file-corrupt = il est marqué comme endommagé
check-file-variant = variante du format qui n'est pas lue
check-file-size = taille du disque hors limites
check-file-too-many = trop d'images dans cette source
check-file-unreadable = les outils QEMU ne le lisent pas
sources-set-saved = { $source } : jeu de sauvegarde enregistré (version { $version }).
source-kind-files = Fichiers et dossiers
source-kind-network-share = Partages réseau
source-kind-mysql = Bases MySQL
source-kind-sql-database = Bases SQL
source-kind-virtual-disk = Disques virtuels
source-kind-system-state = État du système
source-kind-vmware-snapshot = Instantanés VMware (ESX, ESXi)
source-kind-hyperv-snapshot = Instantanés Hyper-V
source-kind-oracle = Bases Oracle
source-kind-sharepoint = SharePoint
source-kind-exchange-store = Banques d'informations Exchange

## État

status-head = { $customer }, contrat { $reference } ({ $state }). Données stockées à : { $location }.
status-source = Source
status-newest = Dernière sauvegarde
status-state = État
status-size = Taille
status-verified = Dernière vérification
status-receipt = Reçu
status-never = jamais
status-no-source = Aucune sauvegarde pour l'instant.
status-volume = Volume : { $used } sur { $contracted } au contrat ({ $share }).
state-complete = complète
state-suspect = suspecte
state-outside-guarantee = hors garantie
state-partial = incomplète
subscription-active = actif
subscription-suspended = suspendu
subscription-ended = terminé
subscription-unknown = état inconnu

## Avancement

step-opening = ouverture
step-fetching = relecture de l'arbre
step-reading = lecture et envoi
step-finishing = fin d'envoi
step-committing = validation
progress-line = { $step } : { $files } fichiers, { $bytes }, { $moved } transférés, { $rate }
progress-remaining = , encore { $remaining }

## Sauvegarde

backup-skipped = { $path } : { $reason }
backup-fuzzy = { PLURAL($count) ->
    [one] { $count } fichier a changé pendant sa lecture ; sa copie peut être incohérente.
    [many] { $count } de fichiers ont changé pendant leur lecture ; leurs copies peuvent être incohérentes.
   *[other] { $count } fichiers ont changé pendant leur lecture ; leurs copies peuvent être incohérentes.
}
backup-rolled-back = ATTENTION : le serveur montre un historique plus ancien que les reçus gardés sur cette machine. Appelez votre prestataire.
backup-busy = « { $source } » est déjà en cours de sauvegarde. Attendez la fin de l'autre exécution.
backup-walk = « { $source } » : un dossier du jeu de sauvegarde ne peut pas être lu ; rien n'a été enregistré. Vérifiez le montage et les droits.
backup-not-mounted = « { $source } » : le système de fichiers qui était monté sur { $path } n'y est plus, et le dossier est vide ; rien n'a été enregistré. Remontez-le ; s'il est retiré pour de bon, enregistrez de nouveau les dossiers de la source (« dobaas sources set »).
backup-receipt = « { $source } » : le reçu du serveur n'est pas valable ; la sauvegarde n'est pas acquise. Appelez votre prestataire.
backup-self-check = « { $source } » : cette machine a mal calculé un bloc, relu avant l'envoi ; rien de faux n'a été enregistré. Vérifiez sa mémoire vive.
backup-still-missing = « { $source } » : le serveur redemande les mêmes données. Appelez votre prestataire.
backup-failed = « { $source } » : la sauvegarde a échoué. Relancez-la ; ce qui est déjà envoyé ne le sera pas deux fois.
skip-reason-permission-denied = accès refusé
skip-reason-io-error = erreur de lecture
skip-reason-path-too-long = chemin trop long
skip-reason-in-use = image utilisée par une machine virtuelle en marche ; arrêtez la machine, ou sauvegardez une copie de l'image
skip-reason-unsupported = type de fichier non pris en charge
skip-reason-not-mounted = le système de fichiers monté ici la dernière fois n'y est plus ; remontez-le, ou, s'il est retiré pour de bon, enregistrez de nouveau la source (« dobaas sources set »)
skip-reason-deferred = attend un autre jour, le contrat ne permet pas plus de changements aujourd'hui

## Points de restauration

dates-head = { $source } ({ $host })
dates-point = Point
dates-id = Numéro
dates-date = Date
dates-files = Fichiers
dates-suspect = Une sauvegarde suspecte montre un changement soudain (rançongiciel, suppression massive ?). Vérifiez la machine, et reprenez une date antérieure au besoin : rien ne sera effacé de votre historique avant que le prestataire ait vérifié.
dates-changed = Modifié
dates-unusable = { PLURAL($count) ->
    [one] { $count } sauvegarde ne peut pas être lue ou n'est pas authentique ; elle n'est pas proposée. Appelez votre prestataire.
    [many] { $count } de sauvegardes ne peuvent pas être lues ou ne sont pas authentiques ; elles ne sont pas proposées. Appelez votre prestataire.
   *[other] { $count } sauvegardes ne peuvent pas être lues ou ne sont pas authentiques ; elles ne sont pas proposées. Appelez votre prestataire.
}
state-untrusted = reçu non valable
point-other-day = Pas de sauvegarde le { $point } : celle du { $date } est utilisée.
browse-lost = { PLURAL($count) ->
    [one] { $count } partie de la liste est endommagée sur le serveur : il manque peut-être des noms.
    [many] { $count } de parties de la liste sont endommagées sur le serveur : il manque peut-être des noms.
   *[other] { $count } parties de la liste sont endommagées sur le serveur : il manque peut-être des noms.
}
browse-absent = { $path } n'existe pas dans cette sauvegarde. « dobaas find » cherche un nom, « dobaas versions » montre quand un fichier a existé.
browse-damaged = La liste des fichiers est endommagée à cet endroit sur le serveur. Choisissez une autre date et prévenez votre prestataire.
browse-failed = La sauvegarde n'a pas pu être lue. Réessayez.
version-there = { $size }, modifié le { $date }
version-gone = supprimé

## Vérification

step-verifying = vérification
verify-good = Tout est bon : { PLURAL($files) ->
    [one] { $files } fichier relu et vérifié
    [many] { $files } de fichiers relus et vérifiés
   *[other] { $files } fichiers relus et vérifiés
} ({ $bytes }) en { $duration }.
verify-bad = { PLURAL($failed) ->
    [one] { $failed } fichier ne peut pas être relu tel qu'il a été sauvegardé
    [many] { $failed } de fichiers ne peuvent pas être relus tels qu'ils ont été sauvegardés
   *[other] { $failed } fichiers ne peuvent pas être relus tels qu'ils ont été sauvegardés
}, voir la liste ; { $files } vérifiés ({ $bytes }) en { $duration }. Prévenez votre prestataire et relancez une sauvegarde.
dump-no-file = { $path } n'est pas un fichier. « dobaas restore » restaure les dossiers et les liens.
dump-failed = { $path } n'a pas pu être relu tel qu'il a été sauvegardé ; ce qui vient d'être écrit n'est pas fiable. Choisissez une autre date.

## Restauration

step-restoring = restauration
restore-from = { $source }, sauvegarde du { $date } → { $target }
restore-would = À blanc : { PLURAL($files) ->
    [one] { $files } fichier serait restauré
    [many] { $files } de fichiers seraient restaurés
   *[other] { $files } fichiers seraient restaurés
} ({ $bytes }) ; déjà présents : { $present }, laissés : { $skipped }, impossibles : { $failed }. Durée : { $duration }.
restore-complete = { PLURAL($files) ->
    [one] { $files } fichier restauré et vérifié
    [many] { $files } de fichiers restaurés et vérifiés
   *[other] { $files } fichiers restaurés et vérifiés
} ({ $bytes }) en { $duration } ; déjà présents : { $present }, laissés : { $skipped }, impossibles : { $failed }.
restore-incomplete = Incomplet : { PLURAL($files) ->
    [one] { $files } fichier restauré et vérifié
    [many] { $files } de fichiers restaurés et vérifiés
   *[other] { $files } fichiers restaurés et vérifiés
} ({ $bytes }) en { $duration } ; déjà présents : { $present }, laissés : { $skipped }, impossibles : { $failed }, voir la liste.
restore-target = { $target } ne peut pas servir de destination. Vérifiez le chemin et les droits, ou choisissez-en une autre avec --to.
restore-disk = L'écriture dans { $target } a échoué ; la restauration s'est arrêtée. Libérez de la place, puis relancez : elle reprendra où elle en était.
restore-failed = La restauration dans { $target } a échoué. Relancez-la : elle reprendra où elle en était.
restore-sync = Tout est écrit dans { $target }, mais le système n'a pas confirmé que c'est durable. Vérifiez le disque, puis relancez.
problem-content-missing = le contenu manque sur le serveur
problem-content-damaged = le contenu est endommagé sur le serveur
problem-key-missing = aucune clé ouverte ne lit ce contenu
problem-digest-mismatch = le contenu relu n'est pas celui qui avait été sauvegardé
problem-tree-damaged = la liste de ce dossier est endommagée sur le serveur
problem-exists = existe déjà, laissé tel quel (voir --overwrite)
problem-in-the-way = un autre type de fichier occupe la place
problem-tree-inconsistent = l'entrée ne tient pas dans l'arbre ; elle est refusée
problem-device-not-asked = périphérique, recréé seulement avec --devices
problem-socket = une socket appartient au programme qui écoute ; elle n'est pas recréée
problem-privilege-not-asked = droits élevés, rendus seulement avec --privileges
problem-owner-not-set = le propriétaire n'a pas pu être rendu
problem-attribute-not-set = un attribut étendu n'a pas pu être rendu
problem-disk-format = l'image ne peut pas être refaite ici dans son format ; installez qemu-utils, ou reprenez-la avec --disk-format raw
problem-digest-not-checked = trous trop grands pour vérifier l'ensemble ; chaque bloc l'a été
problem-io-error = le système a refusé

## Ce qui a échoué

cli-unreachable = Le serveur ne répond pas. Vérifiez le réseau et l'adresse, puis réessayez.
cli-untrusted = Le serveur n'est pas celui qui était attendu ; rien n'a été envoyé. Vérifiez l'empreinte avec votre prestataire.
cli-out-of-date = D'après l'horloge de cette machine, le certificat du serveur n'est pas valable ; rien n'a été envoyé. Réglez l'horloge ; si elle est juste, appelez votre prestataire.
cli-protocol = Le serveur a donné une réponse inattendue. Mettez l'agent à jour ; si cela se reproduit, appelez votre prestataire.
cli-invalid-address = « { $url } » n'est pas une adresse de serveur. Écrivez-la sous la forme https://hôte:port.
cli-fingerprint = Ce n'est pas une empreinte : il faut 64 chiffres hexadécimaux, tels que votre prestataire les a donnés.
cli-not-set-up = Cette machine n'est pas encore installée (pas de { $path }). Lancez « dobaas setup », ou indiquez --server, --fingerprint et --identifier.
cli-already-set-up = Cette machine est déjà installée (agent { $agent }). Pour la réinstaller, ajoutez --again.
cli-identity-exposed = { $path } est lisible par d'autres que son propriétaire. Faites « chmod 600 », et demandez la révocation de l'agent s'il a pu être copié.
cli-identity-damaged = { $path } est endommagé. Relancez « dobaas setup --again ».
cli-file = Impossible d'utiliser { $path }. Vérifiez les droits et la place disponible.
cli-file-exists = { $path } existe déjà et n'est pas remplacé. Choisissez un autre nom.
cli-config-unknown-key = { $path } : clé inconnue « { $key } ». Vouliez-vous dire « { $nearest } » ?
cli-config-invalid = { $path } n'est pas valable. Corrigez-le ; le modèle commenté montre chaque clé.
cli-secret = Impossible de lire le secret demandé à { $source }.
cli-no-answer = Personne n'a répondu à la question. Donnez les options de la forme sans opérateur (voir --help).
cli-must-change-password = Le mot de passe provisoire doit être changé : ajoutez --new-password-file, ou lancez la commande dans un terminal.
cli-short-passphrase = La phrase secrète doit avoir au moins { $min } caractères. Choisissez-en une plus longue.
cli-wrong-passphrase = Cette phrase secrète n'ouvre pas vos sauvegardes. Vérifiez-la, ou utilisez la clé de secours (--recovery-key).
cli-wrong-recovery-key = Cette clé de secours n'ouvre pas vos sauvegardes : elle est bien formée, mais ce n'est pas la bonne, ou elle a été remplacée.
cli-recovery-length = Une clé de secours a { $wanted } caractères, il y en a { $found }. Comptez les groupes : 14 groupes de 4.
cli-recovery-character = Le caractère n° { $position } ne peut pas figurer dans une clé de secours. Relisez ce groupe.
cli-recovery-checksum = La clé de secours contient une faute de frappe : la somme de contrôle ne correspond pas. Relisez chaque groupe.
cli-recovery-out-needed = Sans opérateur, il faut dire où écrire la clé de secours : ajoutez --recovery-key-out FICHIER.
cli-no-keyring-yet = Cet abonnement n'a pas encore de trousseau : il n'y a pas de clé de secours. Lancez « dobaas setup » avec une phrase secrète.
cli-keyring-untrusted = Le trousseau présenté par le serveur n'est pas la suite de celui que cette machine connaît ; il est refusé. Appelez votre prestataire.
cli-keyring-damaged = Le trousseau présenté par le serveur ne peut pas être lu. Appelez votre prestataire.
cli-source-unknown = « { $source } » n'est pas une source du bon de commande. Sources prévues : { $known }.
cli-kind-off = « { $source } » est d'un type que cette version ne sauvegarde pas encore. « dobaas sources list » dit ce qui est disponible.
cli-agent-unknown = « { $agent } » ne désigne pas un seul agent de cet abonnement. Agents connus : { $known }.
cli-no-path = Il manque au moins un dossier à sauvegarder : ajoutez --path DOSSIER.
cli-path-missing = { $path } n'existe pas ou ne peut pas être lu. Vérifiez le chemin et les droits.
cli-output = La sortie n'a pas pu être écrite.
cli-crashed = Le programme s'est arrêté sur une erreur interne. Ce qui a un reçu est sauvegardé ; signalez l'erreur à votre prestataire.
no-thread = Le système ne donne pas de fil d'exécution à ce programme : la mémoire ou le nombre de processus est limité trop bas (ulimit, MemoryMax, TasksMax), ou la machine est à bout de ressources. Rien n'est perdu : libérez des ressources ou relevez la limite, puis relancez.
password-changed = Le mot de passe est changé ; vos autres connexions sont coupées. Les machines installées n'en dépendent pas.
cli-interrupted = Interrompu. Rien n'est perdu : la prochaine exécution reprendra où celle-ci s'est arrêtée.
cli-set-unknown = Cette machine n'a pas de source « { $source } ». « dobaas status » montre les siennes ; « dobaas sources set » en ajoute une.
cli-no-set = Cette machine n'a encore rien à sauvegarder. Choisissez-le : dobaas sources set SOURCE --path DOSSIER
cli-set-unreadable = « { $source } » : le jeu de sauvegarde ne peut pas être lu.
cli-no-snapshot = Il n'y a aucune sauvegarde à lire avec ces droits.
cli-source-needed = Plusieurs sources sont sauvegardées : ajoutez --source. Sources : { $known }.
cli-point = « { $point } » ne désigne pas une sauvegarde. Écrivez latest, une date (21/11/2026), une date et une heure, @3 ou le début d'un numéro.
cli-point-absent = « { $source } » n'a pas de sauvegarde à « { $point } » ni avant. « dobaas dates » montre celles qui existent.
cli-id-ambiguous = Plusieurs sauvegardes commencent par { $id }. Donnez plus de chiffres.
cli-snapshot-untrusted = La sauvegarde { $id } est refusée : elle n'est pas celle que cette clé a écrite et que le prestataire a signée. Choisissez une autre date et appelez votre prestataire.
cli-other-scope = Cette sauvegarde est celle d'une autre machine : indiquez --identifier et la phrase secrète.
cli-path-invalid = { $path } n'est pas un chemin de sauvegarde. Écrivez-le depuis la racine, sans « .. ».
cli-pattern = Le motif « { $pattern } » n'est pas compris. La syntaxe est celle de .gitignore.
