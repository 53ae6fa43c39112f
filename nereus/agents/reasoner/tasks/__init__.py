"""Problems with exact checkers: countdown, word problems, tool plans; and questions in words."""
