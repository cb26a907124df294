# Sourced by deploy/try: everything that is compared of a tree, as text, without any program of this product.

# listing DIR: type, mode, owner, time to the nanosecond, size, link target, device number, content, hard links, holes and
# extended attributes (ACLs among them) of everything under DIR, in an order that depends on nothing but the names.
listing() (
  cd "$1"
  export LC_ALL=C
  printf '# entries\n'
  find . \( -type d -printf 'd %m %U %G %T@ %p\0' \) -o \( -type f -printf 'f %m %U %G %T@ %s %p\0' \) \
    -o \( -type l -printf 'l %U %G %T@ %p -> %l\0' \) -o -printf '%y %m %U %G %T@ %p\0' | sort -z | tr '\0' '\n'
  printf '# devices\n'
  find . -type b,c -exec stat -c '%t:%T %n' {} + | sort
  printf '# content\n'
  find . -type f -print0 | sort -z | xargs -0 -r b2sum
  printf '# hard links\n'
  find . ! -type d -links +1 -printf '%p\0%i\0' | perl -0ne '
    chomp; if ($. % 2) { $path = $_ } else { push @{$group{$_}}, $path }
    END { print map { "$_\n" } sort map { join " = ", sort @$_ } values %group }'
  printf '# holes\n'
  find . -type f -printf '%S\0%p\0' | perl -0ne '
    chomp; if ($. % 2) { $dense = $_ >= 1; next }
    next if $dense; my $path = $_; sysopen(my $file, $path, 0) or die "$path: $!"; my ($at, @data) = (0);
    while (defined(my $start = sysseek($file, $at, 3))) { $at = sysseek($file, $start, 4); push @data, ($start + 0) . "-" . ($at + 0) }
    push @lines, "$path: @data\n"; END { print sort @lines }'
  printf '# extended attributes\n'
  find . -print0 | sort -z | xargs -0 -r getfattr -h -d -m - -e hex 2>/dev/null
)
