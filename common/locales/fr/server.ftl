### Textes : server.

help-dobaas-server = Serveur de sauvegarde Do'BaaS
help-server-init = Crée le dossier d'un serveur : configuration, stockage, identité, premier opérateur
help-server-serve = Sert les agents jusqu'à SIGTERM ou SIGINT
help-server-check-config = Vérifie la configuration et l'identité sans rien changer
help-argument-folder = Dossier du serveur
help-option-listen = Adresse et port d'écoute (par défaut : toutes les adresses, port 7443)
help-option-site = Nom du site où sont les données
help-option-country = Pays du site ; seul FR est accepté
help-option-owner = À qui sont les machines ; « third_party » est refusé
help-option-name = Nom DNS ou adresse IP du serveur, à inscrire dans le certificat ; plusieurs fois possible
help-option-operator = Identifiant du premier opérateur
help-option-ready-fd = Écrit l'adresse d'écoute sur ce descripteur de fichier quand le serveur est prêt

server-init-done = Le serveur est créé dans { $folder } (site { $site }, { $country }).
    
    Empreinte de la racine, à donner à chaque installation d'agent :
      { $fingerprint }
    Premier opérateur : { $operator }
    Mot de passe provisoire, affiché cette seule fois, valable 30 jours :
      { $password }
    
    Suite : dobaas-server serve { $folder }, puis dobaas-admin login.
server-listening = À l'écoute : { $address }
server-config-valid = La configuration est valable.
    Écoute : { $listen }
    Noms du certificat : { $names }
    Stockage : { $store }
    Lieu : { $site }, { $country }, propriétaire { $owner }
    Empreinte de la racine : { $fingerprint }
server-failed = Échec : { $cause }
server-folder-exists = Le dossier existe déjà : rien n'a été changé. Choisissez un dossier qui n'existe pas.
server-identity-unusable = Le fichier d'identité { $path } manque ou n'est pas valable. Restaurez le dossier « identity » depuis sa copie ; ne créez pas de nouvelle racine, les agents la refuseraient.
server-config-unreadable = La configuration { $path } ne peut pas être lue. Vérifiez le dossier et les droits du fichier. Pour un nouveau serveur : « dobaas-server init ». Si seul ce fichier est perdu, faites un serveur ailleurs avec « init », copiez son server.toml ici et corrigez-le.
server-config-key = La configuration contient une clé inconnue : « { $key } ». La clé connue la plus proche est « { $nearest } ».
server-config-invalid = La configuration n'est pas valable : { $message }

location-missing = Le lieu d'hébergement n'est pas déclaré : il manque « location.{ $field } ». Le contrat impose un site déclaré en France : le serveur refuse de démarrer.
location-country = Le pays déclaré « { $country } » est refusé : le contrat impose FR. Le serveur refuse de démarrer.
location-third-party = Le propriétaire « third_party » est refusé : le contrat impose les machines du prestataire. Le serveur refuse de démarrer.

help-server-rebuild = Refait le catalogue d'un abonnement (ou de tous) à partir des paquets et objets ; serveur arrêté
help-server-scrub = Relit tout ce qui est stocké et liste ce qui est endommagé ; serveur arrêté, sans clé
help-argument-subscription = Référence ou identifiant de l'abonnement ; tous sinon
server-head-subscription = Abonnement
server-head-packs = Paquets
server-head-frames = Trames
server-head-snapshots = Sauvegardes
server-head-salvaged = Paquets récupérés
server-head-incomplete = Sauvegardes incomplètes
server-head-damaged = Sauvegardes illisibles
server-head-holds = Gels
server-head-protections = Protections
server-head-objects = Objets lus
server-head-bytes = Octets lus
server-head-damaged-objects = Endommagés
server-head-unknown = Inconnus
server-head-chunks = Morceaux perdus
server-head-affected = Sauvegardes touchées
server-damaged-object = Endommagé ou manquant : { $object }
server-unknown-object = Inconnu du catalogue : { $object }
server-affected-snapshot = Sauvegarde touchée : { $snapshot }
server-scrub-clean = Tout est tel qu'il a été stocké.
server-scrub-damaged = Des dommages ont été trouvés. Les agents renverront ce qu'ils ont encore ; gardez le disque et prévenez le client pour les sauvegardes touchées.
server-subscription-busy = L'abonnement est utilisé par un autre processus. Arrêtez « dobaas-server serve », puis recommencez.
server-other-owner = Le dossier { $folder } appartient à l'utilisateur { $owner }. Rien n'a été fait : le service ne pourrait pas ouvrir ce qu'un autre utilisateur y crée. Lancez la même commande sous son nom : sudo -u { $owner } dobaas-server …
server-folder-busy = Un autre processus travaille sur { $folder } : rien n'a été fait. Arrêtez le serveur (systemctl stop dobaas-server) ou attendez la fin de l'autre commande, puis recommencez.
server-needs-rebuild = Le catalogue manque ou ne connaît pas tout ce qui est stocké. Lancez « dobaas-server rebuild » avant tout le reste.
server-no-store = Le dossier { $folder } n'est pas un stockage Do'BaaS : il lui manque son fichier « dobaas-store ». Rien n'a été créé. Montez le disque du stockage, ou corrigez la clé « store » de la configuration, puis recommencez. Si le disque a été remplacé, déclarez le nouveau avec « dobaas-server mark-store ».
server-store-emptied = Le stockage ne contient plus rien de ce que le catalogue de l'abonnement connaît. Rien n'a été changé. Vérifiez que le disque du stockage est monté et entier ; si des objets sont vraiment perdus, lancez « dobaas-server rebuild ».

help-server-backup-control = Copie les registres du prestataire dans le stockage, serveur en marche ou arrêté
help-server-restore-control = Remet en place les registres à partir d'une copie ; serveur arrêté, l'ancien fichier déplacé
help-option-copy = Nom de la copie à remettre ; sinon la plus récente
control-copied = Registres copiés : { $file }
control-restored = Registres remis en place à partir de la copie du { $at }.
    
    Ce qui a été enregistré après cette date (bons de commande, comptes, retenues levées, traces) n'y est pas.
    Un client qui a changé de mot de passe depuis aura besoin d'un provisoire (« dobaas-admin account reset-password ») ; celui d'un opérateur redevient celui de cette date.
    Chacun se reconnecte, et les jetons à usage unique sont à refaire.
    La purge attend qu'un opérateur l'ait vu et l'autorise.
control-missing = Les registres du prestataire ({ $path }) manquent ou sont vides : rien n'a été créé. Vérifiez que le disque du serveur est monté. S'ils sont perdus, remettez leur dernière copie avec « dobaas-server restore-control », puis relancez.
control-newer = Les registres du prestataire (control.db) sont ceux d'un dobaas-server plus récent : version { $version }, celui-ci lit jusqu'à la version { $newest }. Rien n'a été changé. Installez de nouveau le programme plus récent.
control-damaged = Les registres du prestataire (control.db) sont abîmés : rien n'a été changé. Gardez-les de côté : déplacez control.db, control.db-wal et control.db-shm, puis remettez leur dernière copie avec « dobaas-server restore-control ».
control-none = Il n'y a aucune copie des registres dans ce stockage.
control-exists = { $path } existe : rien n'a été changé. Arrêtez le serveur, déplacez ce fichier (avec ses fichiers -wal et -shm), puis recommencez.
control-copy-damaged = La copie { $file } est endommagée : rien n'a été changé. Choisissez-en une autre avec --copy.

help-server-reset-operator = Rend l'accès à un opérateur : mot de passe provisoire, de partout, sans date de fin ; serveur en marche ou arrêté
help-option-operator-reset = Identifiant de l'opérateur
server-no-such-operator = Aucun opérateur ne s'appelle « { $operator } ». Il y a : { $list }.
server-operator-reset = Mot de passe provisoire de l'opérateur { $operator }, affiché cette seule fois, valable 30 jours :
      { $password }
    
    Ses sessions sont fermées ; ses réseaux autorisés et sa date de fin sont levés. Le journal d'audit le dit.
    Suite : dobaas-admin login, puis « dobaas-admin account networks » s'il ne doit venir que de certains réseaux.

help-server-mark-store = Déclare que le dossier « store » de la configuration est le stockage, après un changement de disque
mark-store-confirm = Chemin du dossier vide, tapé pour confirmer
mark-store-marked = Le dossier { $folder } est déjà déclaré comme stockage : rien n'a été changé.
mark-store-absent = Le dossier { $folder } n'existe pas. Montez le disque du stockage ou créez le dossier, puis recommencez.
mark-store-empty = Le dossier { $folder } est vide : s'il devient le stockage, tout ce qui était sauvegardé est considéré comme perdu. Si le disque est simplement démonté, montez-le. S'il a vraiment été remplacé par un disque vide, confirmez avec « --confirm { $folder } ».
mark-store-done-empty = Le dossier { $folder } est le stockage ; il est vide. { $aside ->
    [none] {""}
   *[other] {"L'ancien index est gardé dans "}{ $aside }.
} Les trousseaux de clés étaient eux aussi dans le stockage : démarrez le serveur, prévenez les clients, et faites installer de nouveau chaque machine (« dobaas setup ») ; elle renvoie alors tout.
mark-store-done = Le dossier { $folder } est le stockage ; il contient les données de { PLURAL($count) ->
    [one] { $count } abonnement
   *[other] { $count } abonnements
}. Lancez maintenant « dobaas-server rebuild », puis « dobaas-server scrub » : ils disent ce qui manque, et les prochaines sauvegardes le renvoient.
