#!/usr/bin/perl
# Scans messages with SpamAssassin without any network test and prints what hit, one JSON
# object a line. The first line says which rules SpamAssassin runs in that mode.
#
# usage: scan.pl < list-of-files
use strict;
use warnings;
use JSON::PP;
use Mail::SpamAssassin;

my $assassin = Mail::SpamAssassin->new({
    local_tests_only             => 1,
    dont_copy_prefs              => 1,
    rules_filename               => '/usr/share/spamassassin',
    userprefs_filename           => '/nonexistent',
    userstate_dir                => $ENV{TMPDIR} // '/tmp',
    home_dir_for_helpers         => $ENV{TMPDIR} // '/tmp',
    keep_config_parsing_metadata => 1,
});
$assassin->compile_now(0);
my $json = JSON::PP->new->canonical->latin1;
local $| = 1;

my $conf = $assassin->{conf};
my %runs;
for my $rule (keys %{ $conf->{test_types} }) {
    next unless $conf->{scores}{$rule};
    next if ($conf->{tflags}{$rule} // '') =~ /\bnet\b/;
    $runs{$rule} = 1;
}
print $json->encode({ version => Mail::SpamAssassin::Version(), runs => [sort keys %runs] }), "\n";

while (my $file = <STDIN>) {
    chomp $file;
    open my $in, '<:raw', $file or die "$file: $!";
    my $text = do { local $/; <$in> };
    close $in;
    my $mail = $assassin->parse($text, 1);
    my $status = $assassin->check($mail);
    my %hits;
    for my $names ($status->get_names_of_tests_hit(), $status->get_names_of_subtests_hit()) {
        $hits{$_} = 1 for map { s/\(\d+\)$//r } grep { length } split /[,\s]+/, $names;
    }
    print $json->encode({ file => $file, hits => [sort keys %hits] }), "\n";
    $status->finish();
    $mail->finish();
}
