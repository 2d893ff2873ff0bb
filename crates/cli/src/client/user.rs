//! `freshen user`: people who sign in to the console.

use super::connection::{ClientError, Connection, encode};
use super::manage::tell;
use super::outcome::Outcome;
use clap::Subcommand;
use freshen_api::v1::wire::{NewUser, PasswordRequest, UserList, UserRequest, UserRow};
use freshen_model::role::Role;
use http::Method;
use serde_json::json;
use std::io::BufRead;

/// People of the console.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user; the password is made and told once, or read from standard input.
    Add {
        /// The name to sign in with.
        name: String,
        /// What the user may do: viewer, operator or admin.
        #[arg(long)]
        role: Role,
        /// The account [default: the caller's].
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        password: PasswordOption,
        #[command(flatten)]
        connection: Connection,
    },
    /// List users.
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Remove a user; whoever is signed in as that one is so no more.
    Remove {
        /// The name.
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give a user another password, which is made and told once, or read from standard input; ends all sessions.
    Password {
        /// The name.
        name: String,
        #[command(flatten)]
        password: PasswordOption,
        #[command(flatten)]
        connection: Connection,
    },
}

/// Where a password comes from; never from the command line, which every list of processes shows.
#[derive(clap::Args)]
pub struct PasswordOption {
    /// Read the password from standard input, one line; without it one is made and told once.
    #[arg(long)]
    password_stdin: bool,
}

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 4_096;

impl PasswordOption {
    fn read(&self) -> Result<Option<String>, ClientError> {
        if !self.password_stdin {
            return Ok(None);
        }
        let line = line(std::io::stdin().lock());
        Ok(Some(line.map_err(|error| ClientError::Usage(format!("standard input: {error}")))?))
    }
}

/// The first line; what is behind it is not waited for.
fn line(input: impl BufRead) -> std::io::Result<String> {
    let mut line = String::new();
    input.take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line.lines().next().unwrap_or_default().to_owned())
}

impl UserCommand {
    /// Does it.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        match self {
            UserCommand::Add { name, role, account, password, connection } => {
                let request = UserRequest { name, account, role, password: password.read()? };
                let new: NewUser = connection.open()?.call(Method::POST, "/v1/users", Some(&request)).await?;
                tell(&connection, &new, || told(&new, "added"))
            }
            UserCommand::List { connection } => {
                let list: UserList = connection.open()?.get("/v1/users").await?;
                let row =
                    |user: &UserRow| format!("{:<24} {:<9} {}", user.name, user.role.as_str(), user.account);
                tell(&connection, &list, || list.users.iter().map(row).collect::<Vec<_>>().join("\n"))
            }
            UserCommand::Remove { name, connection } => {
                let path = format!("/v1/users/{}", encode(&name));
                let () = connection.open()?.call(Method::DELETE, &path, None::<&()>).await?;
                tell(&connection, &json!({ "name": name, "removed": true }), || format!("{name} is removed"))
            }
            UserCommand::Password { name, password, connection } => {
                let path = format!("/v1/users/{}/password", encode(&name));
                let request = PasswordRequest { password: password.read()? };
                let new: NewUser = connection.open()?.call(Method::PUT, &path, Some(&request)).await?;
                tell(&connection, &new, || told(&new, "has another password"))
            }
        }
    }
}

fn told(new: &NewUser, what: &str) -> String {
    let NewUser { user, password } = new;
    let password = password.as_ref().map(|password| format!("\n  password  {password}   (shown once)"));
    format!("{} of {} {what}{}", user.name, user.account, password.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_password_is_one_line_and_no_end_of_input_is_waited_for() {
        struct Terminal;
        impl Read for Terminal {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                panic!("more than the line is read")
            }
        }
        let typed = b"correct horse\r\n".chain(std::io::BufReader::new(Terminal));
        assert_eq!(line(typed).unwrap(), "correct horse");
        assert_eq!(line(b"no end of line".as_slice()).unwrap(), "no end of line");
    }
}
