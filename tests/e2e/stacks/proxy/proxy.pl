# Hands TCP connections on to Docker's socket; the end of either direction is handed on as well.
# Says what was asked for.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Socket::UNIX;

$SIG{CHLD} = "IGNORE";
my $server = IO::Socket::INET->new(LocalPort => 2375, Listen => 64, ReuseAddr => 1) or die $!;
while (1) {
    my $client = $server->accept or next;
    next if fork;
    my $docker = IO::Socket::UNIX->new(Peer => "/var/run/docker.sock") or die $!;
    my ($from, $to) = fork ? ($client, $docker) : ($docker, $client);
    while (sysread $from, my $data, 65536) {
        if ($from == $client) { print STDERR "$1\n" while $data =~ m{^([A-Z]+ /\S+) HTTP/1}mg; }
        print $to $data;
        $to->flush;
    }
    shutdown $to, 1;
    exit;
}
