"""The grammar's rules, by what they are about; `nereus.agents.chat.router` tries them in order."""
