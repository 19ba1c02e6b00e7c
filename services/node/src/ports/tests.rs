use super::*;

#[test]
fn agents_differ_in_address_and_port() {
    let listen = |ports: Ports| ports.agents(3).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(listen(Ports::default()), ["127.0.0.1:5051", "127.0.0.2:5052", "127.0.0.3:5053"]);
    assert_eq!(listen(Ports::EPHEMERAL), ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"]);
}

#[test]
fn two_roles_on_one_port_are_a_mistake() {
    assert_eq!(Ports::default().conflicts(AGENTS_MAX), Vec::<String>::new());
    assert_eq!(Ports::EPHEMERAL.conflicts(AGENTS_MAX), Vec::<String>::new());
    let ports = Ports { gateway: 8080, agent: 5050, ..Ports::default() };
    assert_eq!(
        ports.conflicts(2),
        [
            "gateway and marathon cannot both listen on 127.0.0.1:8080",
            "master and agent 1 cannot both listen on 127.0.0.1:5050",
        ]
    );
}
