//! What a newcomer reads when the pair runs.

use std::fmt;
use std::path::Path;

use chrono::Utc;

/// Where the pair is, and what to try.
pub(crate) struct Banner<'a> {
    pub port_a: u16,
    pub port_b: u16,
    pub nats: &'a str,
    pub data: &'a Path,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port_a, port_b, nats, data } = self;
        let data = data.display();
        // Domains are unique, and rows stay: the same line must work in the next run, too.
        let run = Utc::now().timestamp();
        write!(
            f,
            r#"
The pair is running.

  system A  http://localhost:{port_a}
  system B  http://localhost:{port_b}
  NATS      {nats}
  data      {data}

Try this in another terminal: create on A, look on B; change on B, look on A.

  A=http://localhost:{port_a} B=http://localhost:{port_b} JSON='Content-Type: application/json'
  curl $A/organizations -H "$JSON" -d '{{"organization": {{"name": "Acme", "domain": "acme-{run}.example"}}}}'
  curl $B/organizations
  id=$(curl -s $B/organizations | grep -o '"id":[0-9]*' | head -n 1 | tr -dc 0-9)
  curl -X PATCH $B/organizations/$id -H "$JSON" -d '{{"organization": {{"name": "Acme, renamed by B"}}}}'
  curl $A/organizations/$id
  curl $A/sync_status

Or all of it and more, checked: demo/test_sync.sh $A $B

Ctrl-C stops everything. Rows and events are kept for the next run; delete the data folder to start afresh.
"#
        )
    }
}
